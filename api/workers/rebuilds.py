"""Rebuilds and rollbacks of the tables while the server serves: start, watch, cancel.

Promise: at most one runs at a time. The generation in use serves until the new one takes over, and
a rebuild that does not end well leaves no files.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from asset_ledger.api.workers.rebuild_process import perform
from asset_ledger.ledger.clock import utc_now
from asset_ledger.ledger.commit.committer import Committer
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.errors import GenerationError, LedgerError
from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.projections.rebuild.build import remove_older
from asset_ledger.projections.runtime.generation import open_followers
from asset_ledger.projections.runtime.previous_generation import check_usable
from asset_ledger.projections.runtime.store import TableStore, next_number
from asset_ledger.projections.serving import Projections

Result = Literal["switched", "discarded", "cancelled", "failed"]

RESULTS: Final[tuple[Result, ...]] = ("switched", "discarded", "cancelled", "failed")

SWITCHING: Final = "switching"
"""The last step. It is short and cannot be cancelled."""

logger = logging.getLogger(__name__)


def _now() -> str:
    return iso(utc_now())


@dataclass(slots=True, kw_only=True)
class RunningRebuild:
    """A running rebuild or rollback. `dry_run`: the new generation is compared and discarded.
    `rollback`: the previous generation comes back. `position` of `target`: progress of `state`."""

    generation: int
    position: int = 0
    target: int
    state: str = "starting"
    dry_run: bool = False
    rollback: bool = False
    started_at: str = field(default_factory=_now)

    def report(self, state: str, position: int, target: int) -> None:
        """Set the progress. A `Progress`."""
        self.state, self.position, self.target = state, position, target


@dataclass(frozen=True, slots=True)
class FinishedRebuild:
    """The outcome of a rebuild or rollback. `built`: the result of its process, if it has one."""

    building: RunningRebuild
    result: Result
    built: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    ended_at: str = field(default_factory=_now)


Work = Callable[[RunningRebuild], Awaitable[FinishedRebuild]]


class Rebuilds:
    """The rebuilds of one server. For its event loop.

    `compared`: the comparison of the last generation that was built with the one in use then.
    `digests`: digests and positions of the generations that were built since the start, by number.
    """

    def __init__(
        self,
        folder: Path,
        database: str | None,
        tables: TableStore,
        projections: Projections,
        feed: LiveFeed,
        committer: Committer,
    ) -> None:
        self._folder, self._database = folder, database
        self._tables, self._projections = tables, projections
        self._feed, self._committer = feed, committer
        self.building: RunningRebuild | None = None
        self.last: FinishedRebuild | None = None
        self.compared: dict[str, Any] | None = None
        self.digests: dict[int, dict[str, Any]] = {}
        self.counts: Counter[Result] = Counter()
        self._task: asyncio.Task[None] | None = None

    def start(self, *, dry_run: bool = False) -> RunningRebuild:
        """Start a rebuild. Return it, or the one that is running."""
        if self.building is not None:
            return self.building
        number, target = next_number(self._tables), self._feed.head()
        building = RunningRebuild(generation=number, target=target, dry_run=dry_run)
        return self._run(building, self._rebuild)

    async def roll_back(self) -> RunningRebuild:
        """Start to catch up the previous generation, which then takes over.

        Raises GenerationError if none has this release's schema, or if a rebuild is running.
        """
        previous = check_usable(await asyncio.to_thread(self._projections.previous))
        if self.building is not None:
            raise GenerationError("a rebuild is running: wait for it, or cancel it")
        number, target = previous.generation, self._feed.head()
        building = RunningRebuild(generation=number, target=target, rollback=True)
        return self._run(building, self._go_back)

    async def cancel(self) -> None:
        """Cancel what is running, and wait for its end. A switch is not cancelled."""
        if self._task is None or self._task.done():
            return
        if self.building is None or self.building.state != SWITCHING:
            self._task.cancel()
        await asyncio.wait([self._task])

    async def wait(self) -> FinishedRebuild | None:
        """Wait until nothing runs. Return the last outcome."""
        if self._task is not None:
            await asyncio.wait([self._task])
        return self.last

    def _run(self, building: RunningRebuild, work: Work) -> RunningRebuild:
        self.building = building
        self._task = asyncio.create_task(self._watch(building, work))
        return building

    async def _watch(self, building: RunningRebuild, work: Work) -> None:
        try:
            ended = await work(building)
        except asyncio.CancelledError:
            ended = FinishedRebuild(building, "cancelled")
        except Exception as error:
            trace = None if isinstance(error, LedgerError) else error
            logger.error("generation %d: %s", building.generation, error, exc_info=trace)
            ended = FinishedRebuild(building, "failed", error=str(error))
        self.counts[ended.result] += 1
        self.last, self.building = ended, None

    async def _rebuild(self, building: RunningRebuild) -> FinishedRebuild:
        number, before = building.generation, self._projections.generation.number
        try:
            built = await self._perform("build", building)
            self.compared = built["comparison"]
            if building.dry_run:
                return FinishedRebuild(building, "discarded", built)
            await self._take_over(before, building)
            self.digests[number] = {"value": built["digest"], "position": built["position"]}
            await asyncio.to_thread(remove_older, self._tables, number, before)
            return FinishedRebuild(building, "switched", built)
        finally:
            if self._projections.generation.number != number:
                await asyncio.to_thread(self._tables.remove, number)

    async def _go_back(self, building: RunningRebuild) -> FinishedRebuild:
        before = self._projections.generation.number
        await self._perform("catch-up", building)
        await self._take_over(before, building)
        return FinishedRebuild(building, "switched")

    async def _perform(self, task: str, building: RunningRebuild) -> dict[str, Any]:
        where = (self._folder, self._database)
        return await perform(task, *where, building.generation, building.report)

    async def _take_over(self, before: int, building: RunningRebuild) -> None:
        """Switch to the new generation, once the committer writes to it.

        Raises GenerationError if the generation `before` is not in use any more.
        """
        building.state = SWITCHING
        number, retire = building.generation, building.rollback
        following = await asyncio.to_thread(open_followers, self._tables, number, self._feed)
        switch = partial(self._committer.switch, before, number, retire=retire)
        await self._projections.switch(following, switch)
