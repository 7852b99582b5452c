"""The tables that a server reads: the queries, and the projections that follow the log.

The committer fills the tables of assets and jobs before a write is answered. The other projections
follow the log, each with a task of its own, and no write waits for them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from asset_ledger.ledger.commit.requests import TablesState
from asset_ledger.ledger.errors import GenerationError
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.ledger.storage.readers import AsyncReaders
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.queries.catalog import CatalogQueries
from asset_ledger.projections.queries.folders import FolderQueries
from asset_ledger.projections.queries.job_comparison import CompareQueries
from asset_ledger.projections.queries.jobs import JobQueries
from asset_ledger.projections.queries.lineage import LineageQueries
from asset_ledger.projections.queries.search import SearchQueries
from asset_ledger.projections.queries.usage import UsageQueries
from asset_ledger.projections.runtime.database import path_of
from asset_ledger.projections.runtime.generation import Generation, start_followers
from asset_ledger.projections.runtime.generation_files import GenerationFiles
from asset_ledger.projections.runtime.registry import PROJECTIONS, TABLES
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.status import Status

PATIENCE: Final = 1.0
"""Seconds that a caller waits for the tables before it is answered that they are behind."""
RETRY_SECONDS: Final = 1.0
"""How often a projection that stalled takes another turn, without an event to wake it."""
TURN: Final = 4_096
"""How many events a following projection takes at once: fewer do not keep up with a busy server."""
REST_SECONDS: Final = 0.05
"""How long a following projection lets events gather between two turns: it sums each batch once."""
YIELD: Final = 19
"""While the log grows, a following projection rests this many times as long as its turn took:
writes come first. It catches up at full speed once they pause, or as soon as a caller waits."""


@dataclass(slots=True)
class _Served:
    """What is read: the files of one generation, the runners that follow, and the readers."""

    files: GenerationFiles
    following: Generation
    readers: dict[str, AsyncReaders]

    @classmethod
    def of(cls, folder: Path, following: Generation) -> Self:
        """Read the files' schemas. Blocks."""
        paths = {name: runner.database.path for name, runner in following.own.items()}
        paths[TABLES] = path_of(folder, following.number)
        readers = {name: AsyncReaders(path) for name, path in paths.items()}
        return cls(GenerationFiles(folder, following), following, readers)

    async def close(self) -> None:
        """Close every connection, once no statement is under way."""
        for readers in self.readers.values():
            await readers.drain()
            await readers.close()
        await asyncio.to_thread(self.following.close)


class Projections:
    """What callers read, for one event loop. A generation that takes over keeps the queries."""

    def __init__(self, folder: Path, served: _Served, state: TablesState, feed: LiveFeed) -> None:
        readers = served.readers
        self.tables = Status(PROJECTIONS, feed, state.position)
        self.tables.error = state.error
        self.catalog = CatalogQueries(readers["catalog"], readers[TABLES], self._reach_catalog)
        self.assets = AssetQueries(readers[TABLES], self.catalog, self._pending_backfill)
        self.jobs = JobQueries(readers[TABLES], self._pending_backfill)
        self.comparisons = CompareQueries(readers[TABLES], self._pending_backfill)
        self.lineage = LineageQueries(readers[TABLES])
        self.folders = FolderQueries(readers[TABLES])
        self.usage = UsageQueries(readers["usage"], readers[TABLES], self._pending_backfill)
        self.search = SearchQueries(readers["search"], readers[TABLES])
        self._folder, self._served, self._feed = folder, served, feed
        self._next: _Served | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._follow()

    @classmethod
    async def open(
        cls, folder: Path, state: TablesState, feed: LiveFeed, progress: Progress | None = None
    ) -> Self:
        """Open what follows in the generation that the committer fills, and catch it up."""
        number = state.generation
        following = await asyncio.to_thread(start_followers, folder, number, feed, progress)
        served = await asyncio.to_thread(_Served.of, folder, following)
        return cls(folder, served, state, feed)

    @property
    def generation(self) -> GenerationFiles:
        """The generation in use."""
        return self._served.files

    @property
    def others(self) -> Collection[str]:
        """The projections of other packages."""
        return self._served.following.others

    @property
    def broken(self) -> Mapping[str, str]:
        """The projections of other packages that cannot be used, by name, and why."""
        return self._served.following.broken

    @property
    def runners(self) -> Mapping[str, Status]:
        """The status of every projection, by name."""
        return {TABLES: self.tables, **self._served.following.runners}

    @property
    def position(self) -> int:
        """The last event that the tables of assets and jobs reflect."""
        return self.tables.position

    async def children(self, user_id: str, parent_id: AssetId, limit: int) -> list[AssetId]:
        """Live assets directly in a folder, in creation order."""
        return await self.assets.children(user_id, parent_id, limit)

    async def orphans(self, limit: int) -> list[tuple[str, AssetId]]:
        """Owner and id of live assets whose folder is a tombstone: a deletion did not finish."""
        return await self.assets.orphans(limit)

    async def tombstones(
        self, user_id: str, parent_id: AssetId, after: int, before: int, limit: int
    ) -> list[AssetId]:
        """Assets directly in a folder that were deleted between two positions."""
        return await self.assets.tombstones(user_id, parent_id, after, before, limit)

    async def owner_of(self, user_id: str, digest: Digest) -> AssetId | None:
        """A live asset of this user that has these bytes now. Raises ProjectionBehindError."""
        return await self.catalog.owner_of(user_id, digest)

    async def reach(self, position: int, projections: Sequence[str] = (TABLES,)) -> None:
        """Return once these reflect a position. Raises ProjectionBehindError after a second."""
        await asyncio.gather(
            *(self.runners[name].wait_for(position, PATIENCE) for name in projections)
        )

    async def refusing(self, position: int) -> list[str]:
        """The projections that stand before an event and cannot take it."""
        statuses = self.runners.values()
        found = await asyncio.gather(*(asyncio.to_thread(s.refusing, position) for s in statuses))
        return [name for names in found for name in names]

    def learn(self, state: TablesState) -> None:
        """Note where the committer's tables are, before any caller is answered.

        If they are those of the generation that was to take over, it takes over now: a caller that
        is answered reads its write in the tables that have it.
        """
        if state.generation != self.generation.number:
            self._take_over(state.generation)
        self.tables.learn(state.position, state.error)

    async def adopt(self, state: TablesState) -> None:
        """Serve the tables of a committer that was started again: they may have been made anew."""
        known = {self.generation.number, self._next.files.number if self._next else 0}
        if state.generation not in known:
            number = state.generation
            following = await asyncio.to_thread(start_followers, self._folder, number, self._feed)
            await self.switch(following, lambda: _learned(self, state))

    async def switch(self, following: Generation, switch: Callable[[], Awaitable[None]]) -> None:
        """Serve another generation from the moment on at which `switch` has it filled.

        Raises what keeps it from the end of the log: then the one before goes on serving, and
        `following` is closed. Not to be cancelled.
        """
        try:
            await asyncio.to_thread(following.approach)
            await self._pause()
            await asyncio.to_thread(following.overtake, self._served.following)
            self._next = await asyncio.to_thread(_Served.of, self._folder, following)
            await switch()
        finally:
            left, self._next = self._next, None  # those before, or those that did not take over
            if all(task.done() for task in self._tasks):
                self._follow()
            await (asyncio.to_thread(following.close) if left is None else left.close())

    def _take_over(self, generation: int) -> None:
        """On the event loop, so that no statement comes in between."""
        if self._next is None or self._next.files.number != generation:
            raise GenerationError(f"generation {generation} was not prepared to take over")
        before, following = self._served, self._next
        for name, readers in before.readers.items():
            readers.swap(following.readers[name])
        before.readers, following.readers = following.readers, before.readers
        for name in before.following.runners.keys() & following.following.runners.keys():
            before.following.runners[name].hand_over(following.following.runners[name])
        self._served, self._next = following, before

    async def close(self) -> None:
        """Take what there is left to follow, as far as one turn goes, and close every file."""
        await self._pause()
        await self._served.close()

    def _pending_backfill(self) -> Collection[str]:
        return self.generation.pending_backfill

    async def _reach_catalog(self, position: int) -> None:
        await self.reach(position, ("catalog",))

    def _follow(self) -> None:
        runners = self._served.following.runners.values()
        self._tasks = [asyncio.create_task(_follow(runner, self._feed)) for runner in runners]

    async def _pause(self) -> None:
        """Let nothing follow any more; each takes the turn that it may be in, and a last one."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for runner in self._served.following.runners.values():
            await asyncio.to_thread(runner.turn)


async def _learned(projections: Projections, state: TablesState) -> None:
    projections.learn(state)


async def _follow(runner: Runner, feed: LiveFeed) -> None:
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
    """Rest so long, or until a caller waits: it would give up before the rest is over."""
    for _ in range(max(1, round(seconds / REST_SECONDS))):
        await asyncio.sleep(REST_SECONDS)
        if runner.is_awaited:
            return
