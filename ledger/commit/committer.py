"""The committer: takes commands from callers on the event loop and has them committed in groups.

It answers a caller after the caller's group is durable and the tables are up to date with it. The
requests of one loop iteration go to the worker together; the next ones wait while it commits them.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Final, Protocol

from asset_ledger.ledger.clock import Clock, ClockCheck, utc_now
from asset_ledger.ledger.commit.histogram import Histogram
from asset_ledger.ledger.commit.requests import (
    MAX_GROUP,
    CheckpointRequest,
    CommandRequest,
    Committed,
    CompactRequest,
    GroupResult,
    SwitchRequest,
    TablesState,
    Worker,
)
from asset_ledger.ledger.commit.slots import Slots
from asset_ledger.ledger.commit.worker_queue import WorkerQueue
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.errors import RefusedError, StorageFailedError, VersionConflictError
from asset_ledger.ledger.log.event_log import Appended, Command, CommandKey
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.ledger.reading.replay import Replay

TRIES: Final = 5
"""How many times to decide a command whose streams change before each commit."""

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, MAX_GROUP)
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

Decision = tuple[Sequence[Event], Mapping[str, int]]
"""The events to record, and the versions of other streams that must not have changed since."""


class TablesObserver(Protocol):
    """Serves reads from the tables that the worker fills."""

    def learn(self, state: TablesState) -> None:
        """Note the state of the tables, before any caller is answered."""

    async def adopt(self, state: TablesState) -> None:
        """Serve the tables of a restarted worker, which may be another generation."""


class Committer:
    """Commits commands for one event loop, the one that it was made on.

    `queue_size` commands may wait, of which `per_user` of each user; by default all of them.
    `longest_wait`: seconds that one should wait at most, see `Slots`.
    `behind`: the tables lacked events of the log after the last group. `patience`: seconds without
    a sign of the worker after which it is replaced.
    """

    def __init__(
        self,
        worker: Worker,
        queue_size: int,
        patience: float = 30.0,
        per_user: int | None = None,
        longest_wait: float = math.inf,
        clock: Clock = utc_now,
    ) -> None:
        self._worker, self._queue = worker, WorkerQueue(worker, self._note, self._adopt)
        self._numbers, self._patience = count(1), patience
        self._is_attached = False
        self.slots = Slots(queue_size, per_user, longest_wait)
        self.behind = False
        self.clock = ClockCheck(clock)
        self.groups, self.seconds = Histogram(_SIZES), Histogram(_SECONDS)

    @property
    def is_alive(self) -> bool:
        """Whether the worker runs."""
        return self._queue.is_alive

    @property
    def silence(self) -> float:
        """Seconds since the last sign of a running worker, which gives one each second."""
        return self._queue.silence

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is written until a restart; None if writes work."""
        return self._queue.failure

    async def open(self) -> GroupResult:
        """Open the worker; return the state of log and tables. Raises DataFolderError."""
        self._last = await self._worker.open(self._queue)
        self._queue.watch(self._patience)
        return self._last

    def attach(self, feed: LiveFeed, replay: AsyncReplay, tables: TablesObserver) -> None:
        """Report every result to the feed and the tables, before any caller is answered."""
        self._feed, self._replay, self._tables = feed, replay, tables
        self._is_attached = True
        self._note(self._last)

    async def commit(
        self,
        key: CommandKey | None,
        decide: Callable[[], Awaitable[Decision]],
        contents: Sequence[Staged] = (),
    ) -> Committed | None:
        """Decide and record; decide again if a stream changed between decision and commit.

        Return what this key recorded before, if it was used already; None if there is nothing to
        record. Raises what the decision raises, VersionConflictError after five stale decisions,
        KeyReusedError, and the UnavailableErrors.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                events, guards = await decide()
                if not events:
                    if any(each.is_recorded for each in contents):
                        await self.append(Command(()), contents)  # they may repair damaged ones
                    return await self._recorded_before(key)
                return await self.append(Command(events, guards, key), contents)
            except VersionConflictError:
                if not tries_left:
                    raise
            except RefusedError:
                recorded = await self._recorded_before(key)
                if recorded is None:
                    raise
                return recorded
        return None

    async def append(self, command: Command, contents: Sequence[Staged] = ()) -> Committed:
        """Record a command whose events are decided, after its small contents."""
        small = [(each.digest, each.small) for each in contents if each.small is not None]
        objects = [each.stored for each in contents if each.stored is not None]
        command = replace(command, objects=objects) if objects else command
        request = CommandRequest(next(self._numbers), command, small)
        with self.slots.waiting():
            committed: Committed = await self._queue.send(request)
        return committed

    async def keep_checkpoint(self, size: int, note: str) -> str:
        """Store a signed checkpoint beside the log; return the one that is kept for its size."""
        kept: str = await self._queue.send(CheckpointRequest(next(self._numbers), size, note))
        return kept

    async def compact(self, pack: int) -> int:
        """Remove a pack, after moving the contents that it still has. Return their number."""
        moved: int = await self._queue.send(CompactRequest(next(self._numbers), pack))
        return moved

    async def switch(self, before: int, generation: int, *, retire: bool = False) -> None:
        """Put another generation of the tables in use; see `SwitchRequest`. One at a time."""
        await self._queue.send(SwitchRequest(next(self._numbers), before, generation, retire))

    async def drain(self) -> None:
        """Return once every waiting command is answered."""
        await self._queue.drain()

    async def close(self) -> None:
        """Commit the waiting commands, then close the worker's files. Close their readers first."""
        await self._queue.stop()
        await self._worker.close()

    def _note(self, result: GroupResult) -> None:
        """Update feed and tables before a caller is answered, so that it reads its own write."""
        self._last, self.behind = result, result.behind
        if not self._is_attached:
            return
        if result.commands:
            self.groups.count(result.commands)
            self.seconds.count(result.seconds)
        self.clock.note(result.head.recorded_at)
        outcomes = [each for _, each in result.answers if isinstance(each, Appended)]
        self._tables.learn(result.tables)
        recorded = [event for each in outcomes for event in each.recorded]
        self._feed.advance(result.head.position, recorded)

    async def _adopt(self, result: GroupResult) -> None:
        await self._tables.adopt(result.tables)

    async def _recorded_before(self, key: CommandKey | None) -> Committed | None:
        """Return what this request recorded before; None if nothing. Raises KeyReusedError."""
        if key is None:
            return None
        appended = await self._replay(Replay.command, key)
        return Committed(appended, self.behind) if appended else None
