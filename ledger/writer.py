"""Group commit: a bounded queue, one thread, one transaction for all who wait, then the answers.

Nobody is answered before COMMIT returned and the tables were brought up to date. Commands that
bring small contents come by way of `packing`, which has made their bytes durable before.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from ledger.content import ContentStore, Staged
from ledger.errors import BusyError, OutcomeUnknownError, StorageFailedError
from ledger.fact import Recorded
from ledger.feed import Feed
from ledger.log import Appended, Command, EventLog, Outcome
from ledger.packing import Packing
from ledger.tally import Histogram
from ledger.waiting import GROUP, UNFORESEEN, Errand, Ticket, Waiting, Written

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


class Writer:
    """The only one who commits facts. Made on the event loop that its callers run on.

    `behind`: the tables did not show the last group when it was answered.
    """

    def __init__(
        self, log: EventLog, contents: ContentStore, view: View, feed: Feed, *, queue_size: int
    ) -> None:
        self._log, self._view, self._feed = log, view, feed
        self._loop = asyncio.get_running_loop()
        self._waiting: Waiting[Ticket | Errand] = Waiting()
        self._packing = Packing(contents, self._waiting.put)
        self._arrived: list[Ticket] = []
        self._size = self._places = queue_size
        self.behind = False
        self.groups, self.seconds = Histogram(_SIZES), Histogram(_SECONDS)
        self._thread = threading.Thread(target=self._run, name="ledger-writer")
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs: without it nobody would be answered."""
        return self._thread.is_alive() and self._packing.alive

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is written until a restart; None while all is well."""
        return self._packing.failure or self._log.failure

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
        ticket = Ticket(command, contents, self._loop.create_future())
        if not self._arrived:
            self._loop.call_soon(self._send)
        self._arrived.append(ticket)
        return await ticket.answer

    def _send(self) -> None:
        """Who came while the loop went round once goes together: a thread is woken once."""
        arrived, self._arrived = self._arrived, []
        small = [ticket for ticket in arrived if _has_small(ticket.contents)]
        other = [ticket for ticket in arrived if not _has_small(ticket.contents)]
        if small:
            self._packing.put(*small)
        if other:
            self._waiting.put(*other)

    async def run(self, function: Callable[[], T]) -> T:
        """Call what else the log's one connection has to write, between two groups."""
        answer: Future[T] = Future()

        def errand() -> None:
            if answer.set_running_or_notify_cancel():
                _answer(answer, function)

        self._waiting.put(errand)
        return await asyncio.wrap_future(answer)

    async def close(self) -> None:
        """Record what waits, then stop."""
        self._send()
        await asyncio.to_thread(self._packing.close)
        self._waiting.end()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        for group in self._waiting.groups():
            for item in group:
                if not isinstance(item, Ticket):
                    item()
            if tickets := [item for item in group if isinstance(item, Ticket)]:
                self._turn(tickets)

    def _turn(self, tickets: list[Ticket]) -> None:
        """One group, its contents durable: facts, tables, answers, in this order and no other."""
        begun = time.perf_counter()
        try:
            ready = [ticket for ticket in tickets if ticket.failure is None]
            outcomes = self._log.append([t.command for t in ready], self._view.prepare)
            self._show(outcomes)
        except Exception:
            logger.exception("a group of %d writes failed", len(tickets))
            unknown = OutcomeUnknownError(UNFORESEEN)
            ready, outcomes = tickets, [unknown] * len(tickets)
        self.groups.count(len(tickets))
        self.seconds.count(time.perf_counter() - begun)
        refused = [(t, t.failure) for t in tickets if t.failure is not None]
        answers = [*zip(ready, outcomes, strict=True), *refused]
        self._loop.call_soon_threadsafe(self._answer, answers, self.behind)

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

    def _answer(self, answers: Sequence[tuple[Ticket, Outcome]], behind: bool) -> None:
        outcomes = [outcome for _, outcome in answers]
        recorded = [fact for o in outcomes if isinstance(o, Appended) for fact in o.recorded]
        self._feed.grew(self._log.head().position, recorded)
        for ticket, outcome in answers:
            if ticket.answer.done():  # its caller has gone; what was recorded stays recorded
                continue
            if isinstance(outcome, Appended):
                ticket.answer.set_result(Written(outcome, behind))
            else:
                ticket.answer.set_exception(outcome)


def _has_small(contents: Sequence[Staged]) -> bool:
    return any(content.small is not None for content in contents)


def _answer(answer: Future[T], function: Callable[[], T]) -> None:
    try:
        answer.set_result(function())
    except Exception as error:  # the caller's to know, and not the end of this thread
        answer.set_exception(error)
