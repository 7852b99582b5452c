"""Small contents in PostgreSQL: rows of the table `contents`, beside the log."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Final

import psycopg

from asset_ledger.ledger.content.offline import OfflineContents
from asset_ledger.ledger.content.places import COLLECTED_AT, key_of
from asset_ledger.ledger.errors import CorruptLogError
from asset_ledger.ledger.ids import Digest, digest_from_hex, digest_of
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.object_store import ObjectReader
from asset_ledger.ledger.storage.postgres import (
    LOG,
    PostgresConnection,
    PostgresReaders,
    storage_error,
)
from asset_ledger.ledger.storage.postgres_readers import AsyncPostgresReaders

# An existing row is locked, so that no collection deletes it before the transaction ends. In the
# order of the keys: else two transactions with the same contents could wait for each other.
INSERT_CONTENTS: Final = """INSERT INTO contents SELECT * FROM unnest(?::bytea[], ?::bytea[])
    ORDER BY 1 ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest WHERE false"""
# A row that is locked stays: its transaction needs it, and waits for the log's lock, which the
# collection has. What such a transaction does not record after all is collected another time.
DELETE_CONTENTS: Final = """DELETE FROM contents WHERE digest IN (
    SELECT digest FROM contents WHERE digest = ANY(?::bytea[]) FOR UPDATE SKIP LOCKED)"""
_FIND: Final = "SELECT bytes FROM contents WHERE digest = ?"
_PRESENT: Final = "SELECT digest FROM contents WHERE digest = ANY(?::bytea[])"
_FIND_ALL: Final = "SELECT digest, bytes FROM contents WHERE digest = ANY(?::bytea[])"
_SIZES: Final = "SELECT digest, length(bytes) FROM contents WHERE digest = ANY(?::bytea[])"


class DatabaseContents:
    """Reads small contents. See `content.packed.SmallContents` for the methods."""

    def __init__(self, url: str) -> None:
        self._readers = AsyncPostgresReaders(url, (LOG,))

    async def find(self, digest: Digest, threads: Executor) -> bytes | None:
        """Return a content; None if it is large or absent."""
        rows = await self._readers.rows(_FIND, (key_of(digest),))
        return rows[0][0] if rows else None

    async def collected(self, digest: Digest) -> str | None:
        """Return when a content was collected; None if it was not."""
        rows = await self._readers.rows(COLLECTED_AT, (key_of(digest),))
        return rows[0][0] if rows else None

    def forget(self) -> None:
        """Do nothing: no file is open."""

    async def close(self) -> None:
        """Close the connections."""
        await self._readers.close()


class OfflineDatabaseContents(OfflineContents):
    """Reads many contents at a time: small ones from the database, large ones from an object store
    or from a data folder. Raises StorageFailedError or OSError if it cannot."""

    def __init__(self, url: str, files: ContentFolder) -> None:
        self._files, self._objects, self._has_objects = files, ObjectReader(), True
        self._readers = PostgresReaders(url)

    def packed(self, digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
        """Return those of these contents that have at most 64 KiB.

        Raises CorruptLogError if one was changed.
        """
        rows = self._rows(_FIND_ALL, ([*map(key_of, digests)],))
        found = {digest_from_hex(bytes(key).hex()): bytes(content) for key, content in rows}
        for digest, content in found.items():
            if digest_of(content) != digest:
                raise CorruptLogError(f"the content {digest} was changed in the database")
        return found

    def close(self) -> None:
        """Close the connections."""
        self._readers.close()

    def _small_sizes(self, digests: Sequence[Digest]) -> dict[Digest, int]:
        rows = self._rows(_SIZES, ([*map(key_of, digests)],))
        return {digest_from_hex(bytes(key).hex()): size for key, size in rows}

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        return self._readers.rows(sql, parameters)


class DatabaseWriter:
    """`content.copying.SmallWriter` in a database."""

    def __init__(self, db: PostgresConnection) -> None:
        """`db`: the connection of the log, outside of a transaction. The log closes it."""
        self._db = db

    def stored(self, digests: Sequence[Digest]) -> Mapping[Digest, None]:
        """Return those of these contents that are stored."""
        rows = self._execute(_PRESENT, ([*map(key_of, digests)],))
        return {digest_from_hex(bytes(key).hex()): None for (key,) in rows}

    def write(self, contents: Mapping[Digest, bytes], stored: Mapping[Digest, None]) -> list[int]:
        """Store contents durably, except those that are stored."""
        new = {digest: content for digest, content in contents.items() if digest not in stored}
        self._execute(INSERT_CONTENTS, ([*map(key_of, new)], [*new.values()]))
        return [*map(len, new.values())]

    def _execute(self, sql: str, parameters: Sequence[Any]) -> Any:
        try:
            return self._db.execute(sql, parameters)
        except psycopg.Error as error:
            raise storage_error(error) from error

    def close(self) -> None:
        """Do nothing: the log closes the connection."""
