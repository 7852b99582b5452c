"""The views of a data folder, opened: the tables' reads, and the runner that keeps them filled."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from ledger.feed import Feed
from ledger.ids import AssetId
from ledger.sqlite import AsyncReaders
from projections.assets import AssetQueries
from projections.compare import CompareQueries
from projections.jobs import JobQueries
from projections.rebuild import start
from projections.runner import Progress, Runner

PATIENCE: Final = 1.0
"""Seconds that somebody waits for the tables before he is told that they are behind."""
RETRY_SECONDS: Final = 1.0
"""How often a view that fell behind takes another turn by itself, without a write to wake it."""


class Views:
    """What callers read. `runner` is the view that the writer fills."""

    def __init__(self, runner: Runner, readers: AsyncReaders) -> None:
        self.runner = runner
        self.assets = AssetQueries(readers)
        self.jobs = JobQueries(readers)
        self.comparisons = CompareQueries(readers)
        self._readers = readers
        self._following = asyncio.create_task(self._follow())

    @classmethod
    async def open(cls, folder: Path, feed: Feed, progress: Progress | None = None) -> "Views":
        """Migrate and catch up (in a thread), then open the readers."""
        runner = await asyncio.to_thread(start, folder, feed, progress)
        try:
            readers = await AsyncReaders.open(runner.database.path)
        except BaseException:
            runner.close()
            raise
        return cls(runner, readers)

    @property
    def position(self) -> int:
        """The last fact that the tables reflect."""
        return self.runner.position

    async def children(self, user_id: str, parent_id: AssetId, limit: int) -> list[AssetId]:
        """Live assets directly in a folder, in creation order."""
        return await self.assets.children(user_id, parent_id, limit)

    async def orphans(self, limit: int) -> list[tuple[str, AssetId]]:
        """Owner and id of live assets whose folder is a tombstone: a deletion did not finish."""
        return await self.assets.orphans(limit)

    async def reach(self, position: int) -> None:
        """Return once the tables reflect a position. Raises ViewBehindError after a second."""
        await self.runner.wait_for(position, PATIENCE)

    async def close(self) -> None:
        """Stop following and close every connection. The writer has stopped before."""
        self._following.cancel()
        with suppress(asyncio.CancelledError):
            await self._following
        await self._readers.close()
        await asyncio.to_thread(self.runner.close)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            while await asyncio.to_thread(self.runner.turn):
                pass
