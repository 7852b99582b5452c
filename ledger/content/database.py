"""Small contents in PostgreSQL: rows of the table `contents`, beside the log."""

from concurrent.futures import Executor

from asset_ledger.ledger.content.places import COLLECTED_AT, key_of
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.postgres import LOG
from asset_ledger.ledger.storage.postgres_readers import AsyncPostgresReaders

_FIND = "SELECT bytes FROM contents WHERE digest = ?"


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
