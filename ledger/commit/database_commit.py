"""One group commit in a database: small contents, events and table rows, in one transaction.

If the process dies before COMMIT, nothing of the group exists; after it, all of it does. If the
tables fail, they roll back to a savepoint, and the events are recorded without their rows.
"""

import logging
from collections.abc import Sequence

from asset_ledger.ledger.commit.group_commit import UNFORESEEN, GroupCommit, Tables
from asset_ledger.ledger.commit.requests import Answer, CommandRequest, CompactRequest
from asset_ledger.ledger.errors import OutcomeUnknownError, StorageFailedError
from asset_ledger.ledger.log.postgres import PostgresLog

logger = logging.getLogger(__name__)


class DatabaseCommit(GroupCommit):
    """Commits groups to a database. One thread calls it."""

    def __init__(self, log: PostgresLog, tables: Tables) -> None:
        self._start(log, tables)
        self._database = log

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is written until a restart; None if writes work."""
        return self._log.failure

    def _commit(self, requests: Sequence[CommandRequest]) -> list[tuple[int, Answer]]:
        contents = [content for request in requests for content in request.contents]
        commands = [request.command for request in requests]
        try:
            outcomes = self._database.append(
                commands, self._tables.prepare, contents, self._apply, self._tables.doubt
            )
        except Exception:
            logger.exception("a group of %d writes failed", len(requests))
            unknown = OutcomeUnknownError(UNFORESEEN)
            return [(request.number, unknown) for request in requests]
        if self._tables.state.position < self._log.head().position:
            self._tables.turn()  # else each retry is answered "behind" until the next turn
        return [(request.number, each) for request, each in zip(requests, outcomes, strict=True)]

    def _compact(self, request: CompactRequest) -> Answer:
        return 0  # the database has no packs
