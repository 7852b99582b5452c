"""The committer: takes commands from callers on the event loop and has them committed in groups.

A caller is answered after its group is durable and the tables were brought to it. Requests of one
loop iteration are sent to the worker together; while it commits them, the next ones gather.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, Protocol

from asset_ledger.ledger.commit.histogram import Histogram
from asset_ledger.ledger.commit.requests import (
    MAX_GROUP,
    Answer,
    CheckpointRequest,
    CommandRequest,
    Committed,
    GroupResult,
    Request,
    SwitchRequest,
    TablesState,
    Worker,
)
from asset_ledger.ledger.commit.slots import Slots
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.errors import (
    GenerationError,
    LedgerError,
    OutcomeUnknownError,
    RefusedError,
    StorageFailedError,
    VersionConflictError,
)
from asset_ledger.ledger.log.event_log import Appended, Command, CommandKey
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.ledger.reading.replay import Replay

TRIES: Final = 5
"""How often a command is decided whose decision was stale each time."""

RESTART_SECONDS: Final = 1.0
"""Between two attempts to start a worker that died."""

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, MAX_GROUP)
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

Decision = tuple[Sequence[Event], Mapping[str, int]]
"""The events to record, and the streams that were only read for it, with their versions."""

logger = logging.getLogger(__name__)


class TablesObserver(Protocol):
    """What shows the tables that the worker fills."""

    def learn(self, state: TablesState) -> None:
        """Note their state, before any caller is answered."""

    async def adopt(self, state: TablesState) -> None:
        """Show the tables of a worker that was started again: they may be others."""


class Committer:
    """Commits for one event loop, which it was made on.

    `behind`: the tables lacked events of the log after the last group. `failure`: why nothing is
    written until a restart; None while all is well.
    """

    def __init__(self, worker: Worker, queue_size: int) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._callers: dict[int, asyncio.Future[Any]] = {}
        self._waiting: list[Request] = []
        self._switching: SwitchRequest | None = None
        self._restart: asyncio.Task[None] | None = None
        self._is_attached = False
        self.slots = Slots(queue_size)
        self.behind = False
        self.failure: StorageFailedError | None = None
        self.groups, self.seconds = Histogram(_SIZES), Histogram(_SECONDS)

    async def open(self) -> GroupResult:
        """Open the worker. Raises DataFolderError."""
        self._last = await self._worker.open(self)
        return self._last

    def attach(self, feed: LiveFeed, replay: AsyncReplay, tables: TablesObserver) -> None:
        """Report every result to the feed and the tables, before any caller is answered."""
        self._feed, self._replay, self._tables = feed, replay, tables
        self._is_attached = True
        self.receive(self._last)

    @property
    def is_alive(self) -> bool:
        """Whether the worker runs."""
        return self._restart is None

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
        """Record a command that was decided, after its small contents.

        A caller that stops waiting does not stop the commit.
        """
        small = [(each.digest, each.small) for each in contents if each.small is not None]
        committed: Committed = await self._ask(CommandRequest(next(self._numbers), command, small))
        return committed

    async def keep_checkpoint(self, size: int, note: str) -> str:
        """Keep a signed checkpoint beside the log. The kept one of its size."""
        kept: str = await self._ask(CheckpointRequest(next(self._numbers), size, note))
        return kept

    async def switch(self, generation: int, *, retire: bool = False) -> None:
        """Put another generation of the tables in use; see `SwitchRequest`. One at a time.

        If the worker dies meanwhile, the files tell the next one which generation is in use.
        """
        self._switching = SwitchRequest(next(self._numbers), generation, retire)
        try:
            await self._ask(self._switching)
        finally:
            self._switching = None

    def receive(self, result: GroupResult) -> None:
        """Take a worker's result: first the log and the tables, which a caller may read at once."""
        self._last, self.behind, self.failure = result, result.behind, result.failure
        if not self._is_attached:
            return
        if result.commands:
            self.groups.count(result.commands)
            self.seconds.count(result.seconds)
        outcomes = [each for _, each in result.answers if isinstance(each, Appended)]
        self._tables.learn(result.tables)
        self._feed.grew(result.head, [event for each in outcomes for event in each.recorded])
        for number, answer in result.answers:
            self._answer(number, answer)

    def lose(self, reason: str) -> None:
        """The worker died: what was sent may be recorded, or not. Start it again."""
        logger.error("the committer died (%s); starting it again", reason)
        kept = {request.number for request in (*self._waiting, self._switching) if request}
        unknown = OutcomeUnknownError("the committer died; retry with the same Idempotency-Key")
        for number in [each for each in self._callers if each not in kept]:
            self._answer(number, unknown)
        self._restart = self._loop.create_task(self._start_again())

    async def close(self) -> None:
        """Commit what waits, then have the worker close its files: after all that reads them."""
        await self.drain()
        await self._worker.close()

    async def drain(self) -> None:
        """Return once every command that waits is answered."""
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.wait([self._restart])
            self._refuse(StorageFailedError("the server stops; nothing was recorded"))
        self._send()
        if self._callers:
            await asyncio.wait(self._callers.values())

    def _ask(self, request: Request) -> "asyncio.Future[Any]":
        answer = self._callers[request.number] = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.append(request)
        if len(self._waiting) >= self._worker.eager:
            self._send()
        return answer

    def _send(self) -> None:
        """Send what waits, unless the worker is being started."""
        if self._waiting and self._restart is None:
            waiting, self._waiting = self._waiting, []
            self._worker.send(waiting)

    def _answer(self, number: int, answer: Answer) -> None:
        caller = self._callers.pop(number)
        if caller.done():  # the caller went away; what was recorded stays recorded
            return
        if isinstance(answer, Exception):
            caller.set_exception(answer)
        elif isinstance(answer, Appended):
            caller.set_result(Committed(answer, self.behind))
        else:
            caller.set_result(answer)

    async def _start_again(self) -> None:
        """Open the worker again, as at a start; refuse what waits while that fails."""
        result = await self._try_to_start()
        while result is None:
            await asyncio.sleep(RESTART_SECONDS)
            result = await self._try_to_start()
        self._restart = None
        self.receive(result)  # the worker that died may not have reported its last commit
        self._end_switch(result.tables.generation)
        self._send()

    def _end_switch(self, generation: int) -> None:
        switch = self._switching
        if switch is not None and switch not in self._waiting:
            done = generation == switch.generation
            error = GenerationError("the committer died before the switch; rebuild again")
            self._answer(switch.number, generation if done else error)

    async def _try_to_start(self) -> GroupResult | None:
        try:
            result = await self._worker.open(self)
            await self._tables.adopt(result.tables)
        except Exception as error:
            known = isinstance(error, LedgerError | OSError)
            logger.error("the committer does not start: %s", error, exc_info=not known)
            self.failure = StorageFailedError(f"the committer does not start: {error}")
            self._refuse(self.failure)
            return None
        return result

    def _refuse(self, error: StorageFailedError) -> None:
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._answer(request.number, error)

    async def _recorded_before(self, key: CommandKey | None) -> Committed | None:
        """What this very request recorded before, if it did. Raises KeyReusedError."""
        if key is None:
            return None
        appended = await self._replay(Replay.command, key)
        return Committed(appended, self.behind) if appended else None
