"""One group commit in a database: small contents, events and table rows, in one transaction.

If the process dies before COMMIT, nothing of the group exists; after it, all of it does. If the
tables fail, they roll back to a savepoint, and the events are recorded without their rows.
"""

import logging
from collections.abc import Sequence
from typing import Final, Protocol

from asset_ledger.ledger.commit.group_commit import UNFORESEEN, GroupCommit, Tables
from asset_ledger.ledger.commit.requests import (
    Answer,
    CommandRequest,
    CompactRequest,
    GroupResult,
)
from asset_ledger.ledger.errors import LedgerError, OutcomeUnknownError, StorageFailedError
from asset_ledger.ledger.log.event_log import Outcome
from asset_ledger.ledger.log.postgres import GenerationChangedError, PostgresLog

LOST: Final = "the connection to the database was lost, and there is no new one yet: wait"

logger = logging.getLogger(__name__)


class SharedTables(Tables, Protocol):
    """Tables that several servers fill."""

    def adopt(self, generation: int) -> None:
        """Fill another generation, which another server has put in use. Raises DataFolderError."""


class DatabaseCommit(GroupCommit):
    """Commits groups to a database, beside other servers. One thread calls it."""

    def __init__(self, log: PostgresLog, tables: SharedTables) -> None:
        self._start(log, tables)
        self._database, self._shared = log, tables
        self._away: StorageFailedError | None = None
        log.generation = tables.state.generation

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is written now; None if writes work."""
        if self._away is None and self._database.db.is_closed:
            return StorageFailedError(LOST)  # to connect again may take seconds
        return self._away or self._log.failure

    def _commit(self, requests: Sequence[CommandRequest]) -> list[tuple[int, Answer]]:
        try:
            outcomes = self._append(requests)
        except LedgerError as error:
            return [(request.number, error) for request in requests]
        except Exception:
            logger.exception("a group of %d writes failed", len(requests))
            unknown = OutcomeUnknownError(UNFORESEEN)
            return [(request.number, unknown) for request in requests]
        if self._tables.state.position < self._log.head().position:
            self._tables.turn()  # else each retry is answered "behind" until the next turn
        return [(request.number, each) for request, each in zip(requests, outcomes, strict=True)]

    def _append(self, requests: Sequence[CommandRequest]) -> list[Outcome]:
        contents = [content for request in requests for content in request.contents]
        commands, tables = [request.command for request in requests], self._tables
        try:
            return self._database.append(
                commands, tables.prepare, contents, self._apply, tables.doubt
            )
        except GenerationChangedError as changed:
            self._adopt(changed.generation)
            return self._append(requests)

    def _adopt(self, generation: int) -> None:
        self._shared.adopt(generation)
        self._database.generation = generation

    def turn(self) -> GroupResult:
        """Catch up tables that fell behind, follow what other servers did, or continue a switch."""
        try:
            has_moved, self._away = self._database.look(), None
            if has_moved:
                self._tables.doubt()
        except GenerationChangedError as changed:
            self._adopt(changed.generation)
        except StorageFailedError as error:
            if self._away is None:
                logger.error("%s", error)
            self._away = error
            return self.result()
        result = super().turn()
        self._database.generation = result.tables.generation
        return result

    def _compact(self, request: CompactRequest) -> Answer:
        return 0  # the database has no packs
