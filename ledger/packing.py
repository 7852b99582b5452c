"""The stage before the log: small contents become durable here, a group with one COMMIT.

No fact without its bytes: a command goes on to the log's writer only after its contents are
durable. While the writer commits one group, the contents of the next are being made durable: two
disks' waits side by side instead of one after the other.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Protocol

from ledger.content import Staged
from ledger.errors import OutcomeUnknownError, StorageFailedError
from ledger.sqlite import is_fatal, storage_error
from ledger.waiting import UNFORESEEN, Ticket, Waiting

logger = logging.getLogger(__name__)


class Pack(Protocol):
    """Where small contents become durable: of a content store, what a writer needs."""

    def pack(self, contents: Sequence[Staged]) -> None:
        """Make these small contents durable in one transaction. Raises sqlite3.Error."""


class Packing:
    """The thread that packs; `hand_on` gets each group, its bytes durable or its failures noted."""

    def __init__(self, contents: Pack, hand_on: Callable[..., None]) -> None:
        self._contents, self._hand_on = contents, hand_on
        self._waiting: Waiting[Ticket] = Waiting()
        self.failure: StorageFailedError | None = None
        self._thread = Thread(target=self._run, name="ledger-packing")
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs: without it nobody would be answered."""
        return self._thread.is_alive()

    def put(self, *tickets: Ticket) -> None:
        """Make their small contents durable, then hand them on. From any thread."""
        self._waiting.put(*tickets)

    def close(self) -> None:
        """Pack what waits, then stop. Blocks."""
        self._waiting.end()
        self._thread.join()

    def _run(self) -> None:
        for tickets in self._waiting.groups():
            try:
                self._pack(tickets)
            except Exception:
                logger.exception("the contents of %d writes were not packed", len(tickets))
                for ticket in tickets:
                    ticket.failure = OutcomeUnknownError(UNFORESEEN)
            self._hand_on(*tickets)

    def _pack(self, tickets: Sequence[Ticket]) -> None:
        """Make the contents durable, or fail their commands."""
        smalls = [s for ticket in tickets for s in ticket.contents if s.small is not None]
        try:
            if self.failure is not None:
                raise self.failure
            self._contents.pack(smalls)
        except (StorageFailedError, sqlite3.Error) as error:
            self._fail(tickets, error)

    def _fail(self, tickets: Sequence[Ticket], error: StorageFailedError | sqlite3.Error) -> None:
        """Who shares a failed transaction is tried again alone, so that a failure is his own."""
        reason = storage_error(error) if isinstance(error, sqlite3.Error) else error
        if isinstance(error, sqlite3.Error) and is_fatal(error):
            self.failure = reason
        if len(tickets) > 1:
            for ticket in tickets:
                self._pack([ticket])
        else:
            tickets[0].failure = reason
