"""`access.db`: the tokens of a server and the sessions of browsers, both by the hash of their text.

Promise: the file, or a backup of it, does not help to make a call.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Final

from asset_ledger.ledger.storage.files import storage_errors
from asset_ledger.ledger.storage.sqlite import open_writer, refusing_damage, transaction

_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS tokens (
        id TEXT PRIMARY KEY, hash BLOB NOT NULL, user_id TEXT NOT NULL, scopes TEXT NOT NULL,
        name TEXT NOT NULL, created_at TEXT NOT NULL, expires_at TEXT, revoked_at TEXT
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS sessions (
        hash BLOB PRIMARY KEY, token_id TEXT,  -- NULL: of a JWT
        user_id TEXT NOT NULL, scopes TEXT NOT NULL, name TEXT, expires_at TEXT NOT NULL
    ) STRICT
    """,
)


class AccessFile:
    """The open file. Any thread may call."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        with refusing_damage(path, "Restore it from a backup, or move it away and make new tokens"):
            self._db = open_writer(path, "FULL")
            for statement in _SCHEMA:
                self._db.execute(statement)

    def close(self) -> None:
        self._db.close()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def write(self, failure: str, sql: str, values: Sequence[Any]) -> None:
        """Run a statement in a durable transaction. Raises StorageFailedError with `failure`."""
        with self._lock, storage_errors(failure), transaction(self._db) as db:
            db.execute(sql, values)


def hash_of(text: str) -> bytes:
    """Return the SHA-256 of a secret text.

    It needs no salt and is not slow: 256 random bits cannot be guessed.
    """
    return sha256(text.encode()).digest()
