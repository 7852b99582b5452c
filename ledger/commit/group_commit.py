"""One group after another, recorded: contents, facts and tables, in this order and no other.

Nobody is answered before COMMIT returned and the tables were brought up to date, and no fact is
recorded before its small contents are durable.
"""

import logging
import time
from collections.abc import Sequence
from typing import Protocol

from asset_ledger.ledger.commit.packing import Pack, Packing
from asset_ledger.ledger.commit.requests import UNFORESEEN, Answer, Answers, Signing, Ticket, Wanted
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import LedgerError, OutcomeUnknownError, StorageFailedError
from asset_ledger.ledger.log.event_log import Appended, EventLog, Outcome

logger = logging.getLogger(__name__)


class View(Protocol):
    """The tables that a write is answered from. Called by whoever records, one group at a time."""

    def prepare(self, recorded: Sequence[Recorded]) -> object:
        """What these facts will change, computed before they are stored. Raising refuses them."""

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> bool:
        """Bring the tables to position `last`, whose leaf hash is `leaf`, in one transaction.

        True when they are there. False if they are behind: it catches up later. Never raises.
        """


class Recording:
    """What a group goes through, in whichever thread or process. One group at a time.

    `behind`: the tables did not show the last group when it was answered.
    """

    def __init__(self, log: EventLog, contents: Pack, view: View) -> None:
        self._log, self._view = log, view
        self._packing = Packing(contents)
        self.behind = False

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is recorded until a restart; None while all is well."""
        return self._packing.failure or self._log.failure

    def record(self, group: Sequence[Wanted]) -> Answers:
        """Record all of it that can be, and say what became of each. Blocks; never raises."""
        begun = time.perf_counter()
        tickets = [item for item in group if isinstance(item, Ticket)]
        outcomes = [(i.number, self._keep(i)) for i in group if isinstance(i, Signing)]
        outcomes += self._turn(tickets) if tickets else []
        return Answers(outcomes, self.behind, len(tickets), time.perf_counter() - begun)

    def _keep(self, signing: Signing) -> Answer:
        try:
            return self._log.keep_checkpoint(signing.size, signing.note)
        except LedgerError as error:
            return error
        except Exception:
            logger.exception("a checkpoint of %d facts was not kept", signing.size)
            return OutcomeUnknownError(UNFORESEEN)

    def _turn(self, tickets: Sequence[Ticket]) -> list[tuple[int, Answer]]:
        try:
            self._packing.pack(tickets)
            ready = [ticket for ticket in tickets if ticket.failure is None]
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
