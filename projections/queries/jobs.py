"""Queries of the table `jobs`: a job, a job as of a position, and keyset pages."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.domain.job import Attempt, JobStatus
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.errors import UnknownJobError
from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.pages import (
    MAX_BYTES,
    Page,
    PendingBackfill,
    Sort,
    among,
    check_backfilled,
    open_cursor,
    seal_cursor,
    sort_of,
)

_STATUS: Final = "CASE WHEN status = 'running' AND updated_at < ?1 THEN 'stale' ELSE status END"
"""?1 is the time before which the last event of a running job makes it `stale`."""

_ATTEMPTS: Final = """
    SELECT coalesce(json_group_array(json_object(
        'attempt', each.attempt, 'error', each.error, 'started_at', each.started_at,
        'finished_at', each.finished_at, 'status', CASE
            WHEN each.status = 'running' AND jobs.updated_at < ?1 THEN 'stale' ELSE each.status END
    )), '[]')
    FROM (
        SELECT * FROM job_attempts AS made
        WHERE made.user_id = jobs.user_id AND made.job_id = jobs.job_id ORDER BY made.attempt
    ) AS each
"""
_JSON: Final = f"""
    CAST(json_object(
        'job_id', job_id, 'user_id', user_id, 'workflow_id', workflow_id,
        'parent_job_id', parent_job_id, 'attempt', attempt, 'status', {_STATUS}, 'error', error,
        'parameters', json(parameters), 'started_at', started_at, 'finished_at', finished_at,
        'assets', assets, 'bytes', bytes, 'attempts', json(({_ATTEMPTS})),
        'first_position', first_position, 'last_position', last_position, 'updated_at', updated_at
    ) AS BLOB)
"""
_REFLECTED: Final = "SELECT position FROM positions WHERE projection = 'jobs'"
_FIND: Final = f"""
    SELECT {_JSON}, ({_REFLECTED}) FROM jobs WHERE user_id = ? AND job_id = ?
"""
_FIND_AS_OF: Final = f"{_FIND} AND last_position <= ? AND ({_REFLECTED}) >= ?"

FILTERS: Final[Mapping[str, str]] = {
    "status": _STATUS,
    "workflow_id": "workflow_id",
    "parent_job_id": "parent_job_id",
    "attempt": "attempt",
}
"""The filters of a list of jobs, with the SQL of their values."""

SILENCE: Final = timedelta(hours=24)

WALK: Final = 20_000
"""How many jobs a request reads to find those that match its filters."""


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
        "error": attempt.error,
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

    async def page(
        self,
        user_id: str,
        filters: Mapping[str, Sequence[str | int]],
        *,
        sort: str,
        page_size: int,
        cursor: str = "",
    ) -> Page:
        """Return the user's jobs that match every filter, by first event, from a cursor on.

        Raises ParameterError for an unknown sort, CursorError for the cursor of another query.
        """
        order = sort_of(sort)
        wanted = {name: sorted(set(filters[name])) for name in FILTERS if name in filters}
        check_backfilled(self._pending_backfill, "jobs", wanted)
        binding = orjson.dumps(["jobs", user_id, sort, wanted])
        start = open_cursor(cursor, binding) if cursor else order.start
        sql, parameters = _page_statement(user_id, wanted, order, start, page_size + 1)
        *rows, (edge, _, position) = await self._readers.rows(sql, [self._limit, *parameters])
        more = len(rows) > page_size or (rows and rows[-1][2] > MAX_BYTES)
        page, following = (rows[:-1], rows[-1][0]) if more else (rows, edge)
        after = "" if following is None else seal_cursor(following, binding)
        return Page(b",".join(json for _, json, _ in page), len(page), after, position)


def _page_statement(
    user_id: str, wanted: Mapping[str, Sequence[str | int]], order: Sort, start: int, limit: int
) -> tuple[str, list[Any]]:
    """Return SQL of rows (first position, JSON, sum of bytes), then (end of walk, NULL, position).

    The row that exceeds `MAX_BYTES` is the last one. The first parameter, which is not returned, is
    that of `_STATUS`.
    """
    index, key, keys = "jobs_by_user", "", []
    if len(wanted.get("workflow_id", ())) == 1:
        index, key, keys = "jobs_by_workflow", " AND workflow_id = ?", [*wanted["workflow_id"]]
    walk = f"""
        FROM jobs INDEXED BY {index}
        WHERE user_id = ?{key} AND first_position {order.onwards} ?
        ORDER BY first_position {order.direction}
    """
    walked = [user_id, *keys, start]
    tests = "".join(
        f" AND {FILTERS[name]} IN (SELECT {among(name)} FROM json_each(?))" for name in wanted
    )
    values = [orjson.dumps(values).decode() for values in wanted.values()]
    sql = f"""
        SELECT first_position, json, bytes FROM (
            SELECT *, sum(length(json)) OVER (
                ORDER BY first_position {order.direction} ROWS UNBOUNDED PRECEDING
            ) AS bytes
            FROM (SELECT first_position, {_JSON} AS json
                FROM (SELECT * {walk} LIMIT {WALK}) AS jobs WHERE true{tests} LIMIT ?)
        ) WHERE bytes - length(json) <= {MAX_BYTES}
        UNION ALL
        SELECT (SELECT first_position {walk} LIMIT 1 OFFSET {WALK}), NULL, ({_REFLECTED})
    """
    return sql, [*walked, *values, limit, *walked]
