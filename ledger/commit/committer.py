"""The writer's desk: places in the queue, callers who wait, and the answers they get.

What waits is handed to whoever records it, a thread of this process or a process of its own;
nobody is answered before that has made it durable.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any, Final

from asset_ledger.ledger.commit.group_commit import Recording, View
from asset_ledger.ledger.commit.histogram import Histogram
from asset_ledger.ledger.commit.packing import Pack
from asset_ledger.ledger.commit.requests import (
    GROUP,
    Answer,
    Answers,
    Signing,
    Ticket,
    Turns,
    Wanted,
    Written,
)
from asset_ledger.ledger.commit.thread import ThreadedTurns
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.errors import BusyError, StorageFailedError
from asset_ledger.ledger.log.event_log import Appended, Command, EventLog
from asset_ledger.ledger.reading.feed import Feed

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, GROUP)
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

BUSY: Final = 8
"""So many callers who wait at once make the writer busy."""


class Writer:
    """The only one who has facts committed. Made on the event loop that its callers run on.

    `behind`: the tables did not show the last group when it was answered.
    """

    def __init__(
        self, log: EventLog, contents: Pack, view: View, feed: Feed, *, queue_size: int
    ) -> None:
        self._log, self._feed = log, feed
        self._loop = asyncio.get_running_loop()
        self._recording = Recording(log, contents, view)
        self._thread = ThreadedTurns(self._recording, self._from_the_thread)
        self._turns: Turns = self._thread
        self._numbers = count(1)
        self._callers: dict[int, asyncio.Future[Any]] = {}
        self._arrived: list[Wanted] = []
        self._held = False
        self._when_busy: Callable[[], None] | None = None
        self._all_answered = asyncio.Event()
        self._all_answered.set()
        self._size = self._places = queue_size
        self.behind = False
        self.groups, self.seconds = Histogram(_SIZES), Histogram(_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether somebody records: without it nobody would be answered."""
        return self._turns.alive

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is written until a restart; None while all is well."""
        return self._turns.failure

    @property
    def waiting(self) -> int:
        """How many places in the queue are taken."""
        return self._size - self._places

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue, from before the body is read until the answer. Raises BusyError."""
        if not self._places:
            raise BusyError("too many writes are waiting; try again in a second")
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1

    async def append(self, command: Command, contents: Sequence[Staged] = ()) -> Written:
        """Record a command, after its small contents. Raises what refuses or fails it.

        Who stops waiting does not stop the commit.
        """
        ticket = Ticket(next(self._numbers), command, contents)
        written: Written = await self._answer_to(ticket)
        return written

    async def keep_checkpoint(self, size: int, note: str) -> str:
        """Keep a signed checkpoint beside the log; answers the one of its size that is kept.

        Raises StorageFailedError and OutcomeUnknownError.
        """
        kept: str = await self._answer_to(Signing(next(self._numbers), size, note))
        return kept

    @asynccontextmanager
    async def between_groups(self) -> AsyncIterator[None]:
        """Nothing is under way inside: who comes meanwhile waits until the block ends."""
        self._send()
        self.hold()
        try:
            await self._all_answered.wait()
            yield
        finally:
            self._held = False
            self._send()

    def hold(self) -> None:
        """Hand over nothing, until somebody has come between groups and gone."""
        self._held = True

    def when_busy(self, begin: Callable[[], None] | None) -> None:
        """Call this once, when the writer is busy."""
        self._when_busy = begin

    def hand_to(self, turns: Turns | None) -> None:
        """Have somebody else record from here on; None: the thread of this process.

        Between groups only, and once what is written to is in the other's hands alone.
        """
        self._recording.behind = self.behind
        self._turns = turns or self._thread
        self._feed.grew(self._log.head().position)  # who died may have told nobody of the last

    async def close(self) -> None:
        """Record what waits, then stop."""
        self._send()
        await asyncio.to_thread(self._thread.close)

    def _answer_to(self, wanted: Wanted) -> "asyncio.Future[Any]":
        answer = self._callers[wanted.number] = self._loop.create_future()
        if not self._arrived:
            self._loop.call_soon(self._send)
        self._arrived.append(wanted)
        if len(self._arrived) >= self._turns.early:
            self._send()
        if self._when_busy is not None and len(self._callers) >= BUSY:
            begin, self._when_busy = self._when_busy, None
            begin()
        return answer

    def _send(self) -> None:
        """Who came while the loop went round once goes together: somebody is woken once."""
        if self._arrived and not self._held:
            arrived, self._arrived = self._arrived, []
            self._all_answered.clear()
            self._turns.put(arrived)

    def _from_the_thread(self, answers: Answers) -> None:
        self._loop.call_soon_threadsafe(self.answer, answers)

    def answer(self, answers: Answers) -> None:
        """Tell everybody what became of theirs, and those who follow the log. On the loop."""
        self.behind = answers.behind
        if answers.size:
            self.groups.count(answers.size)
            self.seconds.count(answers.seconds)
        outcomes = [o for _, o in answers.outcomes if isinstance(o, Appended)]
        recorded = [fact for outcome in outcomes for fact in outcome.recorded]
        self._feed.grew(self._log.head().position, recorded)
        for number, outcome in answers.outcomes:
            self._tell(self._callers.pop(number), outcome)
        if len(self._callers) == len(self._arrived):  # the others are all answered
            self._all_answered.set()

    def _tell(self, caller: "asyncio.Future[Any]", outcome: Answer) -> None:
        if caller.done():  # its caller has gone; what was recorded stays recorded
            return
        if isinstance(outcome, Appended):
            caller.set_result(Written(outcome, self.behind))
        elif isinstance(outcome, str):
            caller.set_result(outcome)
        else:
            caller.set_exception(outcome)
