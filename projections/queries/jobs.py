"""Queries of the table `jobs`: a job, a job as of a position, lists and counts."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.domain.job import Attempt, JobStatus
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.errors import UnknownJobError
from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.job_list import (
    MAX_ERROR,
    REFLECTED,
    JobQuery,
    count_statement,
    job_json,
    page_statement,
)
from asset_ledger.projections.queries.pages import (
    MAX_BYTES,
    Page,
    PendingBackfill,
    check_backfilled,
)

_FIND: Final = f"""
    SELECT {job_json()}, ({REFLECTED}) FROM jobs WHERE user_id = ? AND job_id = ?
"""
_FIND_AS_OF: Final = f"{_FIND} AND last_position <= ? AND ({REFLECTED}) >= ?"

SILENCE: Final = timedelta(hours=24)


def job_document(record: JobRecord, stale_before: datetime | None = None) -> dict[str, Any]:
    """Return the API document of a job that was folded from its events.

    A running job whose last event is before `stale_before`, if given, is `stale`.
    """
    last, live = record.last_attempt, record.live
    stale = stale_before is not None and record.span[1] < stale_before
    return {
        "job_id": record.job_id,
        "user_id": record.user_id,
        "workflow_id": record.workflow_id,
        "parent_job_id": last.parent_job_id if last else None,
        "attempt": last.number if last else 1,
        "status": _status(last, stale) if last else "untracked",
        "error": last.error if last else None,
        "parameters": last.parameters if last else None,
        "started_at": _time(last.started_at) if last else None,
        "finished_at": _time(last.finished_at) if last else None,
        "assets": len(live),
        "bytes": sum(asset.size for asset in live),
        "attempts": [_attempt(each, stale) for each in record.job.attempts] if record.job else [],
        "first_position": record.first_position,
        "last_position": record.last_position,
        "updated_at": iso(record.span[1]),
    }


def _attempt(attempt: Attempt, stale: bool) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "error": attempt.error and attempt.error[:MAX_ERROR],
        "started_at": _time(attempt.started_at),
        "finished_at": _time(attempt.finished_at),
        "status": _status(attempt, stale),
    }


def _status(attempt: Attempt, stale: bool) -> JobStatus:
    return "stale" if stale and attempt.status == "running" else attempt.status


def _time(when: datetime | None) -> str | None:
    return None if when is None else iso(when)


class JobRow(NamedTuple):
    """A job: its API JSON, and the position that the table reflects."""

    json: bytes
    position: int


class JobQueries:
    """Queries of jobs, each one statement on a read-only connection."""

    def __init__(
        self,
        readers: AsyncReaders,
        pending_backfill: PendingBackfill = frozenset,
        silence: timedelta = SILENCE,
    ) -> None:
        """`silence`: how long after its last event a running job becomes `stale`."""
        self._readers, self._pending_backfill = readers, pending_backfill
        self._silence = silence

    async def find(self, user_id: str, job_id: str) -> JobRow:
        """Return a job. Raises UnknownJobError if no event of the user names it."""
        for row in await self._readers.rows(_FIND, (self._limit, user_id, job_id), brief=True):
            return JobRow(*row)
        raise UnknownJobError(job_id)

    async def find_as_of(self, user_id: str, job_id: str, position: int) -> bytes | None:
        """Return the JSON of a job as of a position; None if its row changed since or is behind."""
        parameters = (self._limit, user_id, job_id, position, position)
        for row in await self._readers.rows(_FIND_AS_OF, parameters):
            return bytes(row[0])
        return None

    def stale_before(self) -> datetime:
        """Return the time before which the last event of a running job makes it `stale`."""
        return datetime.now(UTC) - self._silence

    @property
    def _limit(self) -> str:
        return iso(self.stale_before())

    async def page(self, query: JobQuery, *, page_size: int, cursor: str = "") -> Page:
        """Return the user's jobs that match every filter, from a cursor on.

        Raises CursorError for the cursor of another query, and ProjectionBehindError.
        """
        check_backfilled(self._pending_backfill, "jobs", query.filters)
        if query.preview or "node_id" in query.filters:
            check_backfilled(self._pending_backfill, "assets", ("job_id", "node_id"))
        sql, parameters = page_statement(query, cursor, page_size + 1)
        *rows, (edge, _, position, _) = await self._readers.rows(sql, [self._limit, *parameters])
        more = len(rows) > page_size or (len(rows) > 1 and rows[-1][2] > MAX_BYTES)
        page = rows[:-1] if more else rows
        after = query.cursor_at(rows[-1]) if more else query.cursor_at_edge(edge)
        return Page(b",".join(row[1] for row in page), len(page), after, position)

    async def counts(self, query: JobQuery) -> dict[JobStatus, int]:
        """Return the numbers of jobs that match every filter, by status. Reads all of them.

        Raises ProjectionBehindError.
        """
        check_backfilled(self._pending_backfill, "jobs", query.filters)
        sql, parameters = count_statement(query)
        return dict(await self._readers.rows(sql, [self._limit, *parameters]))
