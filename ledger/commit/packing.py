"""The step before the log: the small contents of a group become durable, with one COMMIT."""

import sqlite3
from collections.abc import Sequence
from typing import Protocol

from asset_ledger.ledger.commit.requests import Ticket
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.storage.sqlite import is_fatal, storage_error


class Pack(Protocol):
    """Where small contents become durable: of a content store, what a writer needs."""

    def pack(self, contents: Sequence[Staged]) -> None:
        """Make these small contents durable in one transaction. Raises sqlite3.Error."""


class Packing:
    """Packs, and notes on a ticket whose contents are not durable why it must not be recorded."""

    def __init__(self, contents: Pack) -> None:
        self._contents = contents
        self.failure: StorageFailedError | None = None

    def pack(self, tickets: Sequence[Ticket]) -> None:
        """Make the small contents durable, or fail those who brought them."""
        bringing = [t for t in tickets if any(c.small is not None for c in t.contents)]
        if bringing:
            self._pack(bringing)

    def _pack(self, tickets: Sequence[Ticket]) -> None:
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
