"""The committer: takes commands from callers on the event loop and has them committed in groups.

A caller is answered after its group is durable and the tables were brought to it. Requests of one
loop iteration are sent to the worker together; while it commits them, the next ones gather.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Final, Protocol

from asset_ledger.ledger.commit.histogram import Histogram
from asset_ledger.ledger.commit.requests import (
    MAX_GROUP,
    CheckpointRequest,
    CommandRequest,
    Committed,
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
"""How often a command is decided whose decision was stale each time."""

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, MAX_GROUP)
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

Decision = tuple[Sequence[Event], Mapping[str, int]]
"""The events to record, and the streams that were only read for it, with their versions."""


class TablesObserver(Protocol):
    """What shows the tables that the worker fills."""

    def learn(self, state: TablesState) -> None:
        """Note their state, before any caller is answered."""

    async def adopt(self, state: TablesState) -> None:
        """Show the tables of a worker that was started again: they may be others."""


class Committer:
    """Commits for one event loop, which it was made on.

    `behind`: the tables lacked events of the log after the last group.
    """

    def __init__(self, worker: Worker, queue_size: int) -> None:
        self._worker, self._queue = worker, WorkerQueue(worker, self._note, self._adopt)
        self._numbers = count(1)
        self._is_attached = False
        self.slots = Slots(queue_size)
        self.behind = False
        self.groups, self.seconds = Histogram(_SIZES), Histogram(_SECONDS)

    @property
    def is_alive(self) -> bool:
        """Whether the worker runs."""
        return self._queue.is_alive

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is written until a restart; None while all is well."""
        return self._queue.failure

    async def open(self) -> GroupResult:
        """Open the worker: the state of log and tables. Raises DataFolderError."""
        self._last = await self._worker.open(self._queue)
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
        """Decide and record; decide again if the decision was stale when its turn came.

        What was recorded under this key before is the answer, whatever has happened since; None if
        there is nothing to record. Raises what the decision raises, VersionConflictError after five
        stale decisions, KeyReusedError, and the UnavailableErrors.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                events, guards = await decide()
                if not events:
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
        """Record a command that was decided, after its small contents."""
        small = [(each.digest, each.small) for each in contents if each.small is not None]
        request = CommandRequest(next(self._numbers), command, small)
        committed: Committed = await self._queue.ask(request)
        return committed

    async def keep_checkpoint(self, size: int, note: str) -> str:
        """Keep a signed checkpoint beside the log. The kept one of its size."""
        kept: str = await self._queue.ask(CheckpointRequest(next(self._numbers), size, note))
        return kept

    async def switch(self, generation: int, *, retire: bool = False) -> None:
        """Put another generation of the tables in use; see `SwitchRequest`. One at a time."""
        await self._queue.ask(SwitchRequest(next(self._numbers), generation, retire))

    async def drain(self) -> None:
        """Return once every command that waits is answered."""
        await self._queue.drain()

    async def close(self) -> None:
        """Commit what waits, then have the worker close its files: after all that reads them."""
        await self._queue.drain()
        await self._worker.close()

    def _note(self, result: GroupResult) -> None:
        """Note the log and the tables first: a caller that is answered may read both at once."""
        self._last, self.behind = result, result.behind
        if not self._is_attached:
            return
        if result.commands:
            self.groups.count(result.commands)
            self.seconds.count(result.seconds)
        outcomes = [each for _, each in result.answers if isinstance(each, Appended)]
        self._tables.learn(result.tables)
        self._feed.advance(result.head, [event for each in outcomes for event in each.recorded])

    async def _adopt(self, result: GroupResult) -> None:
        await self._tables.adopt(result.tables)

    async def _recorded_before(self, key: CommandKey | None) -> Committed | None:
        """What this very request recorded before, if it did. Raises KeyReusedError."""
        if key is None:
            return None
        appended = await self._replay(Replay.command, key)
        return Committed(appended, self.behind) if appended else None
