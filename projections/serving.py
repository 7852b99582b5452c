"""The views of a data folder, opened: the reads of their tables, and the runners that fill them.

One runner takes facts from the writer, before a write is answered. The others follow the log by
themselves, woken by each commit, and no write ever waits for them.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.readers import AsyncReaders
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.queries.catalog import CatalogQueries
from asset_ledger.projections.queries.folders import FolderQueries
from asset_ledger.projections.queries.job_comparison import CompareQueries
from asset_ledger.projections.queries.jobs import JobQueries
from asset_ledger.projections.queries.lineage import LineageQueries
from asset_ledger.projections.queries.search import SearchQueries
from asset_ledger.projections.queries.usage import UsageQueries
from asset_ledger.projections.runtime.generation import Generation, start_generation
from asset_ledger.projections.runtime.live import Live
from asset_ledger.projections.runtime.registry import TABLES
from asset_ledger.projections.runtime.runner import Progress, Runner

PATIENCE: Final = 1.0
"""Seconds that somebody waits for the tables before he is told that they are behind."""
RETRY_SECONDS: Final = 1.0
"""How often a view that fell behind takes another turn by itself, without a write to wake it."""
TURN: Final = 4_096
"""How many facts a view that follows takes at once: fewer would not keep up with a busy server."""
REST_SECONDS: Final = 0.05
"""How long a view that follows lets facts gather between two turns: it sums each batch once."""
YIELD: Final = 19
"""While the log grows, a view that follows rests so many times as long as its turn took: writes
come first, and it catches up at full speed once they pause, or as soon as somebody waits for it."""


class Views:
    """What callers read. The writer fills `live`; what follows fills itself."""

    def __init__(self, generation: Generation, feed: Feed) -> None:
        readers = _readers(generation)
        self.generation = generation
        self.live = Live(generation.tables)
        self.catalog = CatalogQueries(readers["catalog"], readers[TABLES], self._reach_catalog)
        self.assets = AssetQueries(readers[TABLES], self.catalog, self._unfilled)
        self.jobs = JobQueries(readers[TABLES], self._unfilled)
        self.comparisons = CompareQueries(readers[TABLES])
        self.lineage = LineageQueries(readers[TABLES])
        self.folders = FolderQueries(readers[TABLES])
        self.usage = UsageQueries(readers["usage"], readers[TABLES])
        self.search = SearchQueries(readers["search"], readers[TABLES])
        self._readers, self._feed = readers, feed
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._begin()

    @classmethod
    async def open(cls, folder: Path, feed: Feed, progress: Progress | None = None) -> "Views":
        """Migrate and catch up, in a thread."""
        return cls(await asyncio.to_thread(start_generation, folder, feed, progress), feed)

    @property
    def others(self) -> Collection[str]:
        """Which of the runners are of projections that are not ours."""
        return self.generation.others

    @property
    def broken(self) -> Mapping[str, str]:
        """Why there are not more of those, by name."""
        return self.generation.broken

    @property
    def runners(self) -> Mapping[str, Runner]:
        """What fills the views, by name."""
        return self.generation.runners

    @property
    def runner(self) -> Runner:
        """The one that the writer fills."""
        return self.generation.tables

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

    def _unfilled(self) -> Collection[str]:
        return self.generation.unfilled

    async def _reach_catalog(self, position: int) -> None:
        await self.reach(position, ("catalog",))

    async def switch(self, following: Generation, commit: Callable[[], None]) -> Generation:
        """Serve another generation of the same log from here on; answers the one before.

        Writes wait for it no longer than for a group. `commit` makes it last, between two of them.
        Raises what keeps it from the end of the log: then the one before goes on serving. Not to be
        cancelled.
        """
        before = self.generation
        await asyncio.to_thread(following.approach)
        others = _readers(following)
        try:
            await self._rest()
            await asyncio.to_thread(self._take_over, following, commit, others)
        finally:
            self._begin()
            for readers in others.values():
                await readers.drain()
                await readers.close()
        return before

    def _take_over(
        self, following: Generation, commit: Callable[[], None], others: Mapping[str, AsyncReaders]
    ) -> None:
        """In a thread of its own: between two groups, as soon as both stand near enough."""

        def announce() -> None:
            self._loop.call_soon_threadsafe(self._turn_to, following, others)

        following.overtake(self.generation)
        while not self.live.replace(following.tables, commit, announce):
            following.approach()

    def _turn_to(self, following: Generation, others: Mapping[str, AsyncReaders]) -> None:
        """On the event loop, before anybody hears of a write that only the other one shows."""
        for name, readers in self._readers.items():
            readers.swap(others[name])
        for name in self.runners.keys() & following.runners.keys():  # a package may be gone by now
            self.runners[name].hand_over(following.runners[name])
        self.generation = following

    async def close(self) -> None:
        """Take what there is left to follow, as far as one turn goes, and close every connection.

        The writer has stopped before.
        """
        await self._rest()
        for readers in self._readers.values():
            await readers.close()
        await asyncio.to_thread(self.generation.close)

    def _begin(self) -> None:
        """Bring up what falls behind, and what follows."""
        self._tasks = [asyncio.create_task(_retry(self.live))]
        for runner in self.generation.following.values():
            self._tasks.append(asyncio.create_task(_follow(runner, self._feed)))

    async def _rest(self) -> None:
        """Let nothing follow any more; each takes the turn that it may be in, and a last one."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.to_thread(self.live.turn)
        for runner in self.generation.following.values():
            await asyncio.to_thread(runner.turn)


def _readers(generation: Generation) -> dict[str, AsyncReaders]:
    """For the views that are ours: whoever wrote another one reads it himself."""
    return {name: AsyncReaders(runner.database.path) for name, runner in generation.own.items()}


async def _retry(live: Live) -> None:
    """Bring up the tables that the writer left behind, now and then."""
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        while await asyncio.to_thread(live.turn):
            pass


async def _follow(runner: Runner, feed: Feed) -> None:
    """Take what the log has grown by, a batch at a time; one that stalls is tried again."""
    while True:
        before = runner.position
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await feed.wait_beyond(before)
        head, began = feed.head(), time.monotonic()
        await asyncio.to_thread(runner.turn, TURN)
        took = time.monotonic() - began
        if runner.state == "stalled":
            await asyncio.sleep(RETRY_SECONDS)
        elif feed.head() > head:
            await _rest_after(runner, min(YIELD * took, RETRY_SECONDS))
        else:
            await asyncio.sleep(REST_SECONDS)


async def _rest_after(runner: Runner, seconds: float) -> None:
    """Rest so long, or until somebody waits: else his patience could be over before the rest is."""
    for _ in range(max(1, round(seconds / REST_SECONDS))):
        await asyncio.sleep(REST_SECONDS)
        if runner.is_awaited:
            return
