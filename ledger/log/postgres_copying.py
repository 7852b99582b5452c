"""Copy a log into a database from the stored bytes of another.

Until `finish`, a row marks the database as incomplete, so that no server opens it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg

from asset_ledger.ledger.content.places import DELETE_OBJECT, INSERT_OBJECT, key_of
from asset_ledger.ledger.content.store import StoredObject
from asset_ledger.ledger.domain.event import moment
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.copying import INSERT_KEYS, Copied, KeyRow, copied_group
from asset_ledger.ledger.log.event_log import Command, Head
from asset_ledger.ledger.log.postgres import APPEND_LOCK, PostgresLog
from asset_ledger.ledger.merkle.tiles import Tiles
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.ledger.storage.postgres import storage_error

COPY_LOCK: Final = APPEND_LOCK + 8
"""The advisory lock of a process that copies a log into the database."""

_TRY_LOCK: Final = "SELECT pg_try_advisory_lock(?)"
_MARK: Final = "INSERT INTO copying VALUES (true) ON CONFLICT DO NOTHING"
_MARKED: Final = "SELECT EXISTS (SELECT 1 FROM copying)"
_DELETE_CONTENT: Final = "DELETE FROM contents WHERE digest = ?"


def refuse_copying(db: SqlConnection) -> None:
    """Raise DataFolderError if the database has an incomplete copy."""
    if db.execute(_MARKED).fetchone()[0]:
        raise DataFolderError(
            "a copy into this database was interrupted: run it again, or name another database"
        )


class CopiedDatabase(PostgresLog):
    """A log in a database that stores copied events unchanged, for one process at a time."""

    def __init__(self, url: str, codec: Codec) -> None:
        """Begin a copy, or continue one. Raises DataFolderError if another process copies."""
        super().__init__(url, codec)
        if not self.db.execute(_TRY_LOCK, (COPY_LOCK,)).fetchone()[0]:
            self.close()
            raise DataFolderError("another process copies into this database: wait for it")

    def copy(self, events: Sequence[Copied]) -> None:
        """Append the next events in one transaction. Raises NotNextError, StorageFailedError.

        The mark is a part of it: a server that sees the events refuses to start.
        """
        with self._transaction():
            begun, touched = self._begin([Command([each.event for each in events])], {}, _changed)
            group = copied_group(touched, events, self._codec)
            self._insert(group)
            self._keep_collected(group, (), ())
            self.db.execute(_MARK)
            self.db.commit(begun)
        self._head = Head(group.position, moment(events[-1].event))

    def keep_keys(self, rows: Sequence[KeyRow]) -> None:
        """Insert these Idempotency-Keys of the same log, except those that exist."""
        with self._transaction(), self.db.transaction():
            self.db.execute_many(INSERT_KEYS, rows)

    def keep_object(self, stored: StoredObject) -> None:
        """Store the row of a large content in an object store, durably."""
        with self._transaction():
            self.db.execute(INSERT_OBJECT, (key_of(stored.digest), *stored[1:]))

    def forget(self, digests: Sequence[Digest]) -> None:
        """Delete the rows of contents that an event has collected."""
        keys = [(key_of(digest),) for digest in digests]
        with self._transaction(), self.db.transaction():
            self.db.execute_many(_DELETE_CONTENT, keys)
            self.db.execute_many(DELETE_OBJECT, keys)

    def root(self, size: int) -> bytes:
        """Return the Merkle root over the first `size` events."""
        return Tiles(self).root(size)

    def finish(self) -> None:
        """Let servers open the database."""
        with self._transaction():
            self.db.execute("DELETE FROM copying")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Roll back on an error. Raises those of the database as StorageFailedError."""
        try:
            yield
        except psycopg.Error as error:
            self._roll_back(lambda: None)
            raise storage_error(error) from error
        except BaseException:
            self._roll_back(lambda: None)
            raise


def _changed() -> None:
    raise DataFolderError(
        "another process wrote to the database meanwhile: stop its servers, and name an empty one"
    )
