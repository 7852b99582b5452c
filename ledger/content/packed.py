"""Small contents, as readers see them: at their places in packs."""

import asyncio
from concurrent.futures import Executor
from typing import Protocol

from asset_ledger.ledger.content.packs import PackReader
from asset_ledger.ledger.content.places import (
    COLLECTED_AT,
    Place,
    key_of,
    place_of,
    place_query,
)
from asset_ledger.ledger.errors import CorruptLogError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.readers import AsyncSqliteReaders


class SmallContents(Protocol):
    """Reads the small contents that group commits have stored, for one event loop."""

    async def find(self, digest: Digest, threads: Executor) -> bytes | None:
        """Return a content; None if it is large or absent. Raises CorruptLogError and OSError."""

    async def collected(self, digest: Digest) -> str | None:
        """Return when a content was collected; None if it was not."""

    def forget(self) -> None:
        """Close files that may have been removed."""

    async def close(self) -> None:
        """Close files and connections."""


class PackedContents:
    """Small contents in packs. See `SmallContents` for the methods."""

    def __init__(self, files: ContentFolder) -> None:
        self._log, self._packs = AsyncSqliteReaders(files.log, of_tables=False), PackReader(files)

    async def find(self, digest: Digest, threads: Executor) -> bytes | None:
        """Return a content; None if it is large or absent."""
        rows = await self._log.rows(*place_query([digest]), brief=True)
        if not rows:
            return None
        place = place_of(rows[0])
        content = self._packs.find_cached(place)
        return await self._read(place, threads) if content is None else content

    async def collected(self, digest: Digest) -> str | None:
        """Return when a content was collected; None if it was not."""
        rows = await self._log.rows(COLLECTED_AT, (key_of(digest),), brief=True)
        return rows[0][0] if rows else None

    def forget(self) -> None:
        """Close the packs: a removed one that is open keeps its space."""
        self._packs.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._log.close()
        self._packs.close()

    async def _read(self, place: Place, threads: Executor) -> bytes:
        """Read a packed content; at its new place, if collection moved it meanwhile."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(threads, self._packs.read, place)
        except CorruptLogError:
            rows = await self._log.rows(*place_query([place.digest]), brief=True)
            if not rows or place_of(rows[0]) == place:
                raise
            return await loop.run_in_executor(threads, self._packs.read, place_of(rows[0]))
