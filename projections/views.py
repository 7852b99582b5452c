"""The views of a data folder, opened: the reads of their tables, and the runners that fill them.

One runner takes facts from the writer, before a write is answered. The others follow the log by
themselves, woken by each commit, and no write ever waits for them.
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from ledger.feed import Feed
from ledger.ids import AssetId, Digest
from ledger.sqlite import AsyncReaders
from projections.assets_reads import AssetQueries
from projections.catalog_reads import CatalogQueries
from projections.compare import CompareQueries
from projections.folders import FolderQueries
from projections.jobs import JobQueries
from projections.lineage import LineageQueries
from projections.rebuild import FOLLOWING, TABLES, Others, follow, follow_others, start
from projections.runner import Progress, Runner
from projections.search_reads import SearchQueries
from projections.usage_reads import UsageQueries

PATIENCE: Final = 1.0
"""Seconds that somebody waits for the tables before he is told that they are behind."""
RETRY_SECONDS: Final = 1.0
"""How often a view that fell behind takes another turn by itself, without a write to wake it."""

REST_SECONDS: Final = 0.05
"""How long a view that follows lets facts gather between two turns: it sums each batch once."""
YIELD: Final = 19
"""While the log grows, a view that follows rests so many times as long as its turn took: writes
come first, and it catches up at full speed once they pause."""


class Views:
    """What callers read. `runners` fill it, by name; `runner` is the one that the writer calls.

    `others` are those of the runners that are not ours, `broken` says why one has no runner.
    """

    def __init__(
        self,
        runners: Mapping[str, Runner],
        others: Others,
        readers: Mapping[str, AsyncReaders],
        feed: Feed,
    ) -> None:
        self.runners = {**runners, **others.runners}
        self.others, self.broken = frozenset(others.runners), others.broken
        self.runner = runners[TABLES]
        self.catalog = CatalogQueries(readers["catalog"], readers[TABLES], self._reach_catalog)
        self.assets = AssetQueries(readers[TABLES], self.catalog)
        self.jobs = JobQueries(readers[TABLES])
        self.comparisons = CompareQueries(readers[TABLES])
        self.lineage = LineageQueries(readers[TABLES])
        self.folders = FolderQueries(readers[TABLES])
        self.usage = UsageQueries(readers["usage"], readers[TABLES])
        self.search = SearchQueries(readers["search"], readers[TABLES])
        self._open = AsyncExitStack()
        self._tasks = [asyncio.create_task(each) for each in self._work(feed)]

    @classmethod
    async def open(cls, folder: Path, feed: Feed, progress: Progress | None = None) -> "Views":
        """Migrate and catch up (in a thread), then open the readers."""
        async with AsyncExitStack() as stack:
            runners = {TABLES: await asyncio.to_thread(start, folder, feed, progress)}
            stack.callback(runners[TABLES].close)
            for projection in FOLLOWING:
                made = partial(follow, folder, runners[TABLES].database.number, projection)
                runners[projection.name] = await asyncio.to_thread(made, feed, progress)
                stack.callback(runners[projection.name].close)
            number = runners[TABLES].database.number
            others = await asyncio.to_thread(follow_others, folder, number, feed, progress)
            for runner in others.runners.values():
                stack.callback(runner.close)
            readers = {}
            for name, runner in runners.items():
                readers[name] = await AsyncReaders.open(runner.database.path)
                stack.push_async_callback(readers[name].close)
            views = cls(runners, others, readers, feed)
            views._open = stack.pop_all()
            return views

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

    async def buried(
        self, user_id: str, parent_id: AssetId, after: int, before: int, limit: int
    ) -> list[AssetId]:
        """Tombstones directly in a folder that were made between two positions."""
        return await self.assets.buried(user_id, parent_id, after, before, limit)

    async def reach(self, position: int, views: Sequence[str] = (TABLES,)) -> None:
        """Return once these reflect a position. Raises ViewBehindError after a second."""
        waits = [self.runners[view].wait_for(position, PATIENCE) for view in views]
        await asyncio.gather(*waits)

    async def owner_of(self, user_id: str, digest: Digest) -> AssetId | None:
        """A live asset of this user's that has these bytes now. Raises ViewBehindError."""
        return await self.catalog.owner_of(user_id, digest)

    async def refusing(self, position: int) -> list[str]:
        """The projections that stand before a fact and cannot take it."""
        turns = [asyncio.to_thread(each.refusing, position) for each in self.runners.values()]
        return [name for names in await asyncio.gather(*turns) for name in names]

    async def _reach_catalog(self, position: int) -> None:
        await self.reach(position, ("catalog",))

    async def close(self) -> None:
        """Take what there is left to follow, as far as one turn goes, and close every connection.

        The writer has stopped before.
        """
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for runner in self.runners.values():
            await asyncio.to_thread(runner.turn)
        await self._open.aclose()

    def _work(self, feed: Feed) -> list[Coroutine[Any, Any, None]]:
        following = [runner for runner in self.runners.values() if runner is not self.runner]
        return [_retry(self.runner), *(_follow(runner, feed) for runner in following)]


async def _retry(runner: Runner) -> None:
    """Bring up the tables that the writer left behind, now and then."""
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        while await asyncio.to_thread(runner.turn):
            pass


async def _follow(runner: Runner, feed: Feed) -> None:
    """Take what the log has grown by, a batch at a time; one that stalls is tried again."""
    while True:
        before = runner.position
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await feed.wait_beyond(before)
        head, began = feed.head(), time.monotonic()
        await asyncio.to_thread(runner.turn)
        took = time.monotonic() - began
        if runner.position == before:
            await asyncio.sleep(RETRY_SECONDS)
        elif feed.head() > head:
            await asyncio.sleep(min(max(REST_SECONDS, YIELD * took), RETRY_SECONDS))
        else:
            await asyncio.sleep(REST_SECONDS)
