"""What a server reads: the queries, and the projections that follow the log.

The committer fills the tables of assets and jobs before it answers a write. The other projections
follow the log, each in a task of its own, and no write waits for them.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from asset_ledger.ledger.commit.requests import TablesState
from asset_ledger.ledger.errors import WITHOUT_MEMORY, GenerationError, UnknownAssetError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.ledger.storage.database import AsyncReaders, Damage
from asset_ledger.ledger.tasks import end
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.queries.catalog import CatalogQueries
from asset_ledger.projections.queries.compare import CompareQueries
from asset_ledger.projections.queries.folders import FolderQueries
from asset_ledger.projections.queries.jobs import SILENCE, JobQueries
from asset_ledger.projections.queries.keys import KeyQueries
from asset_ledger.projections.queries.lineage import LineageQueries
from asset_ledger.projections.queries.nodes import NodeQueries
from asset_ledger.projections.queries.search import SearchQueries
from asset_ledger.projections.queries.text_index import TEXT_INDEXES
from asset_ledger.projections.queries.timeline import TimelineQueries
from asset_ledger.projections.queries.usage import UsageQueries
from asset_ledger.projections.queries.users import UserQueries
from asset_ledger.projections.queries.values import ValueQueries
from asset_ledger.projections.queries.worded import WordedQueries
from asset_ledger.projections.runtime.generation import Generation, start_followers
from asset_ledger.projections.runtime.generation_files import GenerationFiles
from asset_ledger.projections.runtime.previous_generation import (
    PreviousGeneration,
    find_previous,
)
from asset_ledger.projections.runtime.registry import PROJECTIONS, TABLES
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.status import Status
from asset_ledger.projections.runtime.store import TableStore

logger = logging.getLogger(__name__)

PATIENCE: Final = 1.0
"""Seconds that a caller waits for the tables before it gets ProjectionBehindError."""
RETRY_SECONDS: Final = 1.0
"""Seconds between the turns of a stalled projection, and the longest wait for an event."""
TURN: Final = 4_096
"""How many events a projection takes in one turn: with fewer, it lags behind a busy server."""
REST_SECONDS: Final = 0.05
"""Seconds between two turns, so that events gather: a turn sums its whole batch once."""
YIELD: Final = 19
"""While the log grows, a projection rests this many times as long as its turn took, so that writes
come first. It catches up at full speed once writes pause or a caller waits."""


@dataclass(slots=True)
class _OpenGeneration:
    """One generation as a server has it open: its files, its followers' runners, its readers."""

    files: GenerationFiles
    following: Generation
    readers: dict[str, AsyncReaders]

    @classmethod
    def of(cls, store: TableStore, following: Generation) -> Self:
        """Open readers and read the schemas of the files. Blocks."""
        readers = {name: store.readers(following.number, name) for name in following.own}
        readers[TABLES] = store.readers(following.number)
        return cls(GenerationFiles(store, following), following, readers)

    async def close(self) -> None:
        """Close every connection, once no statement is running."""
        for readers in self.readers.values():
            await readers.drain()
            await readers.close()
        await asyncio.to_thread(self.following.close)


class Projections:
    """The queries and followers of the generation in use. Queries stay valid after a switch."""

    def __init__(
        self,
        store: TableStore,
        served: _OpenGeneration,
        state: TablesState,
        feed: LiveFeed,
        job_silence: timedelta = SILENCE,
    ) -> None:
        readers, text_index = served.readers, TEXT_INDEXES[store.text_index]
        self.tables = Status(PROJECTIONS, feed, state.position)
        self.tables.error = state.error
        self.catalog = CatalogQueries(readers["catalog"], readers[TABLES], self._reach_catalog)
        self.assets = AssetQueries(readers[TABLES], self.catalog, self._pending_backfill)
        self.jobs = JobQueries(readers[TABLES], self._pending_backfill, job_silence)
        self.nodes = NodeQueries(readers[TABLES], self._pending_backfill)
        self.comparisons = CompareQueries(readers[TABLES], self._pending_backfill)
        self.lineage = LineageQueries(readers[TABLES])
        self.folders = FolderQueries(readers[TABLES])
        self.keys = KeyQueries(readers[TABLES])
        self.usage = UsageQueries(readers["usage"], readers[TABLES], self._pending_backfill)
        self.users = UserQueries(readers["usage"])
        self.search = SearchQueries(readers["search"], readers[TABLES], text_index)
        self.timelines = TimelineQueries(readers["usage"])
        self.values = ValueQueries(
            readers["usage"], readers["catalog"], readers[TABLES], self.assets
        )
        self.worded = WordedQueries(
            readers["search"],
            readers[TABLES],
            self.catalog,
            self.assets.check_filled,
            text_index,
        )
        self.children, self.tombstones = self.assets.children, self.assets.tombstones
        self.folders_in = self.assets.folders_in
        self.orphans, self.owner_of = self.assets.orphans, self.catalog.owner_of
        self._store, self._served, self._feed = store, served, feed
        self._next: _OpenGeneration | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._adopting: asyncio.Task[None] | None = None
        self._follow()

    @classmethod
    async def open(
        cls,
        store: TableStore,
        state: TablesState,
        feed: LiveFeed,
        progress: Progress | None = None,
        job_silence: timedelta = SILENCE,
    ) -> Self:
        """Open the generation that the committer fills, and catch up its followers."""
        number = state.generation
        following = await asyncio.to_thread(start_followers, store, number, feed, progress)
        served = await asyncio.to_thread(_OpenGeneration.of, store, following)
        return cls(store, served, state, feed, job_silence)

    @property
    def generation(self) -> GenerationFiles:
        """The schema and the row counts of the generation in use."""
        return self._served.files

    @property
    def is_shared(self) -> bool:
        """Whether other servers may fill the same tables."""
        return self._store.is_shared

    def previous(self) -> PreviousGeneration | None:
        """Return the generation that a rollback goes back to, or None. Blocks."""
        return find_previous(self._store, self.generation.number)

    @property
    def others(self) -> Collection[str]:
        """The names of the projections of other packages."""
        return self._served.following.others

    @property
    def broken(self) -> Mapping[str, str]:
        """The projections of other packages that cannot be used: the reasons by name."""
        return self._served.following.broken

    @property
    def damaged(self) -> Mapping[str, Damage]:
        """The projections whose files were found damaged since they were opened."""
        found = {name: readers.damage for name, readers in self._served.readers.items()}
        return {name: damage for name, damage in found.items() if damage is not None}

    @property
    def runners(self) -> Mapping[str, Status]:
        """The status of every projection, by name."""
        return {TABLES: self.tables, **self._served.following.runners}

    @property
    def position(self) -> int:
        """The position of the last event that the tables of assets and jobs reflect."""
        return self.tables.position

    async def reach(self, position: int, projections: Sequence[str] = (TABLES,)) -> None:
        """Return once these reflect a position. Raises ProjectionBehindError after `PATIENCE` s."""
        await asyncio.gather(
            *(self.runners[name].wait_for(position, PATIENCE) for name in projections)
        )

    async def named(self, user_id: str, name: str) -> AssetId | None:
        """Return the newest live asset with this name, also one that was recorded just now.

        Raises ProjectionBehindError.
        """
        try:
            return await self.catalog.named(user_id, name)
        except UnknownAssetError:
            return None

    async def refusing(self, position: int) -> list[str]:
        """Return the projections that stop before this event because they cannot take it."""
        statuses = self.runners.values()
        found = await asyncio.gather(*(asyncio.to_thread(s.refusing, position) for s in statuses))
        return [name for names in found for name in names]

    def learn(self, state: TablesState) -> None:
        """Note the state of the committer's tables, before the committer answers any caller.

        If the committer fills the prepared generation by now, that generation takes over here, so
        that callers read their own writes.
        """
        if state.generation != self.generation.number:
            if self._store.is_shared and not self._is_prepared(state.generation):
                self._adopt_soon(state)
                return
            self._take_over(state.generation)
        position = state.position
        if self._store.is_shared and state.error is None:
            position = max(position, self.tables.position)  # another server may have moved it
        self.tables.update(position, state.error)

    def reflect(self, generation: int, position: int) -> None:
        """Note the position of shared tables, which another server may have moved."""
        if generation == self.generation.number and position > self.tables.position:
            self.tables.update(position, self.tables.error)

    def _is_prepared(self, generation: int) -> bool:
        return self._next is not None and self._next.files.number == generation

    def _adopt_soon(self, state: TablesState) -> None:
        """Begin to serve a generation that another server has put in use."""
        if self._adopting is None or self._adopting.done():
            self._adopting = asyncio.create_task(self._adopt_shared(state))

    async def _adopt_shared(self, state: TablesState) -> None:
        try:
            await self.adopt(state)
        except GenerationError as error:
            logger.info("%s", error)  # the next result of the committer tries again
        except Exception:
            logger.exception("generation %d of another server is not served", state.generation)

    async def adopt(self, state: TablesState) -> None:
        """Serve the tables of a committer that restarted: it may have rebuilt them."""
        known = {self.generation.number, self._next.files.number if self._next else 0}
        if state.generation not in known:
            number = state.generation
            following = await asyncio.to_thread(start_followers, self._store, number, self._feed)
            await self.switch(following, lambda: _learn(self, state))

    async def switch(self, following: Generation, switch: Callable[[], Awaitable[None]]) -> None:
        """Serve the generation of `following`; `switch` makes the committer fill it.

        Raises the error of either: the generation in use then stays, and `following` is closed.
        MUST NOT be cancelled.
        """
        try:
            await asyncio.to_thread(following.approach)
            await self._pause()
            await asyncio.to_thread(following.overtake, self._served.following)
            self._next = await asyncio.to_thread(_OpenGeneration.of, self._store, following)
            await switch()
        finally:
            unused, self._next = self._next, None  # the former generation, or the refused one
            if all(task.done() for task in self._tasks):
                self._follow()
            await (asyncio.to_thread(following.close) if unused is None else unused.close())

    def _take_over(self, generation: int) -> None:
        """Swap readers and waiters, on the event loop, so that no query runs in between."""
        if self._next is None or not self._is_prepared(generation):
            raise GenerationError(f"generation {generation} was not prepared to take over")
        before, following = self._served, self._next
        for name, readers in before.readers.items():
            readers.swap(following.readers[name])
        before.readers, following.readers = following.readers, before.readers
        for name in before.following.runners.keys() & following.following.runners.keys():
            before.following.runners[name].hand_over(following.following.runners[name])
        self._served, self._next = following, before

    async def close(self) -> None:
        """Take a last turn of each follower and close every file."""
        if self._adopting is not None:
            await asyncio.wait([self._adopting])
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
        """Stop the followers' tasks, then take one more turn of each follower."""
        for task in self._tasks:
            await end(task)
        for runner in self._served.following.runners.values():
            await asyncio.to_thread(runner.turn)


async def _learn(projections: Projections, state: TablesState) -> None:
    projections.learn(state)


async def _follow(runner: Runner, feed: LiveFeed) -> None:
    """Take new events from the log, a batch at a time, and retry while stalled."""
    while True:
        before = runner.position
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await feed.wait_beyond(before)
        head, started = feed.head(), time.monotonic()
        try:
            await asyncio.to_thread(runner.turn, TURN)
        except WITHOUT_MEMORY as error:
            logger.warning("a projection waits: %r", error)
            await asyncio.sleep(RETRY_SECONDS)
            continue
        took = time.monotonic() - started
        if runner.state == "stalled":
            await asyncio.sleep(RETRY_SECONDS)
        elif feed.head() > head:
            await _rest_after(runner, min(YIELD * took, RETRY_SECONDS))
        else:
            await asyncio.sleep(REST_SECONDS)


async def _rest_after(runner: Runner, seconds: float) -> None:
    """Sleep, but end early if a caller waits, which would time out before."""
    for _ in range(max(1, round(seconds / REST_SECONDS))):
        await asyncio.sleep(REST_SECONDS)
        if runner.is_awaited:
            return
