"""Read the log in a SQLite file."""

from pathlib import Path

from asset_ledger.ledger.log.reader import SqlLogReader
from asset_ledger.ledger.storage.readers import SqliteReaders


class SqliteLogReader(SqlLogReader):
    """A LogReader of a SQLite file. See the protocol for its promises."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet: the first read opens the file, or raises sqlite3.Error."""
        super().__init__(SqliteReaders(path))
