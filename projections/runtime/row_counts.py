"""How many rows the tables of a file have, for whoever administers the ledger.

Promise: the number is that of one moment, and the tables are walked only once the file has moved.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

from asset_ledger.ledger.storage.sqlite import open_reader


class RowCounts:
    """Those of one file, for any thread.

    SQLite keeps no counts, and keeping our own would cost every write a row. So what was counted
    holds as long as the file's position, which every change of its rows moves.
    """

    def __init__(self, path: Path, tables: Sequence[str]) -> None:
        self._path, self._tables = path, tuple(tables)
        self._lock = Lock()  # who asks meanwhile waits for the count that is under way
        self._counted_at: list[Any] = []
        self._counts: Mapping[str, int] = {}

    def read(self) -> Mapping[str, int]:
        """How many, by table. Costs a walk of each one's smallest index, if the file has moved."""
        with self._lock, closing(open_reader(self._path)) as db:
            db.execute("BEGIN")  # else the rows could be those of a later position
            at = db.execute("SELECT * FROM positions ORDER BY 1").fetchall()
            if at != self._counted_at:
                self._counts = {table: _count(db, table) for table in self._tables}
                self._counted_at = at
            return self._counts


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])
