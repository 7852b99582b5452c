"""Two threads that record what waits: contents first, then facts and tables, group by group.

Nobody is answered before COMMIT returned and the tables were brought up to date. Commands that
bring small contents come by way of `packing`, which has made their bytes durable before.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ledger.errors import LedgerError, OutcomeUnknownError, StorageFailedError
from ledger.fact import Recorded
from ledger.log import Appended, EventLog, Outcome
from ledger.packing import Pack, Packing
from ledger.waiting import GROUP, UNFORESEEN, Answer, Answers, Signing, Ticket, Waiting, Wanted

logger = logging.getLogger(__name__)


class View(Protocol):
    """The tables that a write is answered from. Both methods are called in the writer's thread."""

    def prepare(self, recorded: Sequence[Recorded]) -> object:
        """What these facts will change, computed before they are stored. Raising refuses them."""

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> bool:
        """Bring the tables to position `last`, whose leaf hash is `leaf`, in one transaction.

        True when they are there. False if they are behind: it catches up later. Never raises.
        """


class ThreadedTurns:
    """The turns of this process. `answered` is called in the writer's thread, once a group.

    `behind`: the tables did not show the last group when it was answered.
    """

    early: Final = GROUP  # a thread that wakes while the loop is busy only waits for the GIL

    def __init__(
        self, log: EventLog, contents: Pack, view: View, answered: Callable[[Answers], None]
    ) -> None:
        self._log, self._view, self._answered = log, view, answered
        self._waiting: Waiting[Wanted] = Waiting()
        self._packing = Packing(contents, self._waiting.put)
        self.behind = False
        self._thread = threading.Thread(target=self._run, name="ledger-writer")
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether both threads run."""
        return self._thread.is_alive() and self._packing.alive

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is recorded until a restart; None while all is well."""
        return self._packing.failure or self._log.failure

    def put(self, wanted: Sequence[Wanted]) -> None:
        """Let them have their turn. From any thread."""
        small = [each for each in wanted if isinstance(each, Ticket) and _has_small(each)]
        other = [each for each in wanted if not isinstance(each, Ticket) or not _has_small(each)]
        if small:
            self._packing.put(*small)
        if other:
            self._waiting.put(*other)

    def close(self) -> None:
        """Record what waits, then stop. Blocks."""
        self._packing.close()
        self._waiting.end()
        self._thread.join()

    def _run(self) -> None:
        for group in self._waiting.groups():
            begun = time.perf_counter()
            tickets = [item for item in group if isinstance(item, Ticket)]
            outcomes = [(i.number, self._keep(i)) for i in group if isinstance(i, Signing)]
            outcomes += self._turn(tickets) if tickets else []
            seconds = time.perf_counter() - begun
            self._answered(Answers(outcomes, self.behind, len(tickets), seconds))

    def _keep(self, signing: Signing) -> Answer:
        try:
            return self._log.keep_checkpoint(signing.size, signing.note)
        except LedgerError as error:
            return error
        except Exception:
            logger.exception("a checkpoint of %d facts was not kept", signing.size)
            return OutcomeUnknownError(UNFORESEEN)

    def _turn(self, tickets: Sequence[Ticket]) -> list[tuple[int, Answer]]:
        """One group, its contents durable: facts, tables, answers, in this order and no other."""
        ready = [ticket for ticket in tickets if ticket.failure is None]
        try:
            outcomes = self._log.append([t.command for t in ready], self._view.prepare)
            self._show(outcomes)
        except Exception:
            logger.exception("a group of %d writes failed", len(tickets))
            unknown = OutcomeUnknownError(UNFORESEEN)
            return [(ticket.number, unknown) for ticket in tickets]
        answers: list[tuple[int, Answer]] = [
            (ticket.number, outcome) for ticket, outcome in zip(ready, outcomes, strict=True)
        ]
        return answers + [(t.number, t.failure) for t in tickets if t.failure is not None]

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


def _has_small(ticket: Ticket) -> bool:
    return any(content.small is not None for content in ticket.contents)
