"""Group commit: a bounded queue, one thread, one transaction for all who wait, then the answers.

Nobody is answered before COMMIT returned and the tables were brought up to date, and there is no
timer: while one group commits, the next gathers.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, Protocol, TypeVar

from ledger.content import ContentStore, Staged
from ledger.errors import BusyError, OutcomeUnknownError, StorageFailedError
from ledger.fact import Recorded
from ledger.feed import Feed
from ledger.log import Appended, Command, EventLog, Outcome
from ledger.sqlite import is_fatal, storage_error
from ledger.tally import Histogram

GROUP: Final = 256
"""How many commands one transaction takes at most."""

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, GROUP)
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

logger = logging.getLogger(__name__)

T = TypeVar("T")


class View(Protocol):
    """The tables that a write is answered from. Both methods are called in the writer's thread."""

    def prepare(self, recorded: Sequence[Recorded]) -> object:
        """What these facts will change, computed before they are stored. Raising refuses them."""

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> bool:
        """Bring the tables to position `last`, whose leaf hash is `leaf`, in one transaction.

        True when they are there. False if they are behind: it catches up later. Never raises.
        """


class Written(NamedTuple):
    """A command is in the log. `behind`: the tables do not show it yet."""

    appended: Appended
    behind: bool


@dataclass(slots=True)
class _Ticket:
    command: Command
    contents: Sequence[Staged]
    answer: "asyncio.Future[Written]"
    failure: Exception | None = None


_Errand = Callable[[], None]


class Writer:
    """The only one who commits facts. Made on the event loop that its callers run on.

    `behind`: the tables did not show the last group when it was answered.
    """

    def __init__(
        self, log: EventLog, contents: ContentStore, view: View, feed: Feed, *, queue_size: int
    ) -> None:
        self._log, self._contents, self._view, self._feed = log, contents, view, feed
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Ticket | _Errand | None] = SimpleQueue()
        self._size = self._places = queue_size
        self._failure: StorageFailedError | None = None
        self.behind = False
        self.groups, self.seconds = Histogram(_SIZES), Histogram(_SECONDS)
        self._thread = threading.Thread(target=self._run, name="ledger-writer")
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs: without it nobody would be answered."""
        return self._thread.is_alive()

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is written until a restart; None while all is well."""
        return self._failure or self._log.failure

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
        ticket = _Ticket(command, contents, self._loop.create_future())
        self._queue.put(ticket)
        return await ticket.answer

    async def run(self, function: Callable[[], T]) -> T:
        """Call what else the log's one connection has to write, between two groups."""
        answer: Future[T] = Future()

        def errand() -> None:
            if answer.set_running_or_notify_cancel():
                _answer(answer, function)

        self._queue.put(errand)
        return await asyncio.wrap_future(answer)

    async def close(self) -> None:
        """Record what waits, then stop."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        going = True
        while going:
            tickets, going = self._gather()
            if tickets:
                self._turn(tickets)

    def _gather(self) -> tuple[list[_Ticket], bool]:
        """All who wait, at most a group; False with them when nobody will come after."""
        tickets: list[_Ticket] = []
        item = self._queue.get()
        while item is not None:
            if isinstance(item, _Ticket):
                tickets.append(item)
            else:
                item()
            if len(tickets) == GROUP:
                return tickets, True
            try:
                item = self._queue.get_nowait()
            except Empty:
                return tickets, True
        return tickets, False

    def _turn(self, tickets: list[_Ticket]) -> None:
        """One group: contents, facts, tables, answers, in this order and no other."""
        begun = time.perf_counter()
        try:
            self._pack(tickets)
            ready = [ticket for ticket in tickets if ticket.failure is None]
            outcomes = self._log.append([t.command for t in ready], self._view.prepare)
            self._show(outcomes)
        except Exception:
            logger.exception("a group of %d writes failed", len(tickets))
            unknown = OutcomeUnknownError("the write failed in an unforeseen way; ask again")
            ready, outcomes = tickets, [unknown] * len(tickets)
        self.groups.count(len(tickets))
        self.seconds.count(time.perf_counter() - begun)
        refused = [(t, t.failure) for t in tickets if t.failure is not None]
        answers = [*zip(ready, outcomes, strict=True), *refused]
        self._loop.call_soon_threadsafe(self._answer, answers, self.behind)

    def _pack(self, tickets: Sequence[_Ticket]) -> None:
        """No fact without its bytes: make the small contents durable, or fail their commands."""
        smalls = [s for t in tickets for s in t.contents if s.small is not None]
        if not smalls:
            return
        try:
            if self._failure is not None:
                raise self._failure
            self._contents.pack(smalls)
        except (StorageFailedError, sqlite3.Error) as error:
            self._fail(tickets, error)

    def _fail(self, tickets: Sequence[_Ticket], error: StorageFailedError | sqlite3.Error) -> None:
        """Who shares a failed transaction is tried again alone, so that a failure is his own."""
        if isinstance(error, sqlite3.Error) and is_fatal(error):
            self._failure = storage_error(error)
        if len(tickets) > 1:
            for ticket in tickets:
                self._pack([ticket])
        else:
            tickets[0].failure = storage_error(error) if isinstance(error, sqlite3.Error) else error

    def _show(self, outcomes: Sequence[Outcome]) -> None:
        """Bring the tables to the end of what was just recorded."""
        recorded = [o for o in outcomes if isinstance(o, Appended) and not o.replayed]
        if recorded:
            last = recorded[-1]
            self.behind = not self._view.apply(
                [appended.prepared for appended in recorded], last.last, last.leaf
            )
        elif self.behind:  # they may have caught up: a replay would call them behind for ever
            self.behind = not self._view.apply((), self._log.head().position, b"")

    def _answer(self, answers: Sequence[tuple[_Ticket, Outcome]], behind: bool) -> None:
        self._feed.grew(self._log.head().position)
        for ticket, outcome in answers:
            if ticket.answer.done():  # its caller has gone; what was recorded stays recorded
                continue
            if isinstance(outcome, Appended):
                ticket.answer.set_result(Written(outcome, behind))
            else:
                ticket.answer.set_exception(outcome)


def _answer(answer: Future[T], function: Callable[[], T]) -> None:
    try:
        answer.set_result(function())
    except Exception as error:  # the caller's to know, and not the end of this thread
        answer.set_exception(error)
