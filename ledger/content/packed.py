"""The file that small contents are packed in: one COMMIT makes a whole group of them durable."""

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.storage.sqlite import (
    RESTORE,
    expect_groups,
    insert_rows,
    open_writer,
    refusing_damage,
    transaction,
)

PACKED: Final = "packed.db"

FIND: Final = "SELECT bytes FROM contents WHERE digest = ?"

# Not WITHOUT ROWID: large rows in the order of their hashes cost twice as much (measured).
_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS contents (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL)
"""
_PACK: Final = "INSERT INTO contents (digest, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING"

logger = logging.getLogger(__name__)


class Packed:
    """The connection that writes to it. One thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises DataFolderError for one that is damaged."""
        self._path = path
        with refusing_damage(path, RESTORE):
            self._db = _connect(path)
            self._db.execute(_SCHEMA)

    def pack(self, contents: Sequence[Staged]) -> None:
        """Make these small contents durable in one transaction. Raises sqlite3.Error."""
        if contents:
            with transaction(self._db) as db:
                insert_rows(db, _PACK, [(content.digest, content.small) for content in contents])

    def lend(self) -> None:
        """Let another process write to the file, until it is taken back."""
        self._db.close()

    def take_back(self) -> None:
        """Write to it from here. Where it cannot be opened, each `pack` says so."""
        try:
            self._db = _connect(self._path)
        except sqlite3.Error:
            logger.exception("%s cannot be opened again", self._path.name)

    def close(self) -> None:
        """Close the connection: it folds the WAL into the file."""
        self._db.close()


def _connect(path: Path) -> sqlite3.Connection:
    return expect_groups(open_writer(path, "FULL"))
