"""The SQLite file of small contents: one COMMIT makes a whole group of them durable."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.files import NamedFile, make_folder, sync_folder
from asset_ledger.ledger.storage.sqlite import (
    RESTORE,
    expect_groups,
    insert_rows,
    is_fatal,
    open_writer,
    refusing_damage,
    storage_error,
    transaction,
)

FIND: Final = "SELECT bytes FROM contents WHERE digest = ?"

# Not WITHOUT ROWID: large rows in the order of their hashes cost twice as much (measured).
_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS contents (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL)
"""
_PACK: Final = "INSERT INTO contents (digest, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING"


class Packed:
    """The one connection that writes to the file. One thread at a time may use it.

    `failure`: why nothing is packed until a restart; None if writes work.
    """

    def __init__(self, path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> None:
        """Open the file, or make it. Raises DataFolderError if it is damaged."""
        self.failure: StorageFailedError | None = None
        make_folder(path.parent)
        with refusing_damage(path, RESTORE):
            self._db = expect_groups(open_writer(path, "FULL", factory))
            self._db.execute(_SCHEMA)
        self._file = NamedFile(path)
        sync_folder(path.parent)

    def pack(self, contents: Sequence[tuple[Digest, bytes]]) -> None:
        """Make these contents durable in one transaction, or none. Raises StorageFailedError."""
        if self.failure is not None:
            raise self.failure
        self._file.check()
        try:
            with transaction(self._db) as db:
                insert_rows(db, _PACK, contents)
        except sqlite3.Error as error:
            refusal = storage_error(error)
            if is_fatal(error):  # the next fsync would report success for what this one lost
                self.failure = refusal
            raise refusal from error

    def close(self) -> None:
        """Close the connection, which writes the WAL into the file."""
        self._db.close()
