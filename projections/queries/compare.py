"""The query that compares two jobs, a page at a time. Memory does not grow with the jobs."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.ledger.errors import UnknownJobError
from asset_ledger.ledger.storage.database import AsyncReaders, Snapshot
from asset_ledger.projections.queries.job_comparison import (
    STATUSES,
    ComparedPair,
    JobComparison,
    PairKey,
)
from asset_ledger.projections.queries.pages import (
    LAST,
    MAX_BYTES,
    PAGE_SIZE,
    PendingBackfill,
    check_backfilled,
    seal,
    unseal_values,
)

# A number up to the last one is known, also if the attempt made nothing.
_LAST: Final = "SELECT attempt FROM jobs WHERE user_id = ? AND job_id = ?"
_REFLECTED: Final = "SELECT position FROM positions WHERE projection = 'assets'"
_PAIRS: Final = f"""
    WITH made AS (
        SELECT wanted.key AS side, seq, node_id, name, digest,
            row_number() OVER (PARTITION BY wanted.key, node_id, name ORDER BY seq) AS nth
        FROM json_each(?) AS wanted CROSS JOIN assets INDEXED BY assets_by_job
            ON user_id = ? AND job_id = wanted.value ->> 0 AND deleted_at IS NULL
            AND attempt = CAST(wanted.value ->> 1 AS INTEGER)
    ),
    paired AS (
        SELECT node_id, name, nth, max(seq) FILTER (WHERE side = 0) AS a,
            max(seq) FILTER (WHERE side = 1) AS b, CASE
                WHEN count(*) = 1 THEN CASE WHEN max(side) = 1 THEN 'only_b' ELSE 'only_a' END
                WHEN count(digest) = 0 OR count(digest) = 2 AND min(digest) = max(digest)
                    THEN 'same'
                ELSE 'different' END AS status
        FROM made GROUP BY node_id, name, nth
    ),
    placed AS MATERIALIZED (
        SELECT node_id, name, nth, status, a, b,
            coalesce(a, min(a) OVER (ORDER BY b DESC ROWS UNBOUNDED PRECEDING), {LAST}) AS place,
            CASE WHEN a IS NULL THEN b ELSE {LAST} END AS beside
        FROM paired
    )
"""
"""Rows are ordered by `place` and `beside`: an asset that only `b` made stands before the first
asset of `a` whose pair `b` made later."""
_PAGE: Final = """
    SELECT *, sum(octets) OVER (ORDER BY place, beside ROWS UNBOUNDED PRECEDING) AS bytes FROM (
        SELECT chosen.*, coalesce(length(CAST(first.json AS BLOB)), 0)
            + coalesce(length(CAST(second.json AS BLOB)), 0) AS octets
        FROM (
            SELECT * FROM placed WHERE (place, beside) >= (?, ?)
                AND status IN (SELECT value FROM json_each(?))
            ORDER BY place, beside LIMIT ?
        ) AS chosen LEFT JOIN assets AS first ON first.seq = chosen.a
            LEFT JOIN assets AS second ON second.seq = chosen.b
    )
"""
_DIVERGENCE: Final = -1
_COUNT: Final = -2
_COMPARE: Final = f"""
    {_PAIRS}
    SELECT shown.node_id, shown.name, nth, status, CAST(first.json AS BLOB),
        CAST(second.json AS BLOB), place, beside, bytes
    FROM (
        SELECT * FROM ({_PAGE}) WHERE bytes - octets <= {MAX_BYTES}
        UNION ALL SELECT * FROM (
            SELECT *, 0, {_DIVERGENCE} FROM placed WHERE status <> 'same'
            ORDER BY place, beside LIMIT 1
        )
        UNION ALL
        SELECT NULL, '', count(*), status, NULL, NULL, 0, 0, 0, {_COUNT} FROM placed GROUP BY status
    ) AS shown LEFT JOIN assets AS first ON first.seq = shown.a
        LEFT JOIN assets AS second ON second.seq = shown.b
    ORDER BY place, beside
"""
"""The rows of a page, and the one that exceeds it; with `_DIVERGENCE` bytes, the first divergence;
with `_COUNT` bytes, the number of rows of each status, as `nth`."""


class AttemptName(NamedTuple):
    """An attempt of a job; without a number, the last one."""

    job_id: str
    attempt: int | None = None


class _Row(NamedTuple):
    node_id: str | None
    name: str
    nth: int
    status: Any
    a: bytes | None
    b: bytes | None
    place: int
    beside: int
    bytes: int

    @property
    def pair(self) -> ComparedPair:
        return ComparedPair(PairKey(*self[:3]), self.status, self.a, self.b)


class CompareQueries:
    """The query that compares two jobs from the tables, in one read transaction."""

    def __init__(
        self, readers: AsyncReaders, pending_backfill: PendingBackfill = frozenset
    ) -> None:
        self._readers, self._pending_backfill = readers, pending_backfill

    async def page(
        self,
        user_id: str,
        a: AttemptName,
        b: AttemptName,
        *,
        statuses: Sequence[str] = STATUSES,
        page_size: int = PAGE_SIZE,
        cursor: str = "",
    ) -> JobComparison:
        """Return the rows with these statuses, from a cursor on, of attempts of two jobs of a user.

        Later pages are of the attempts of the first page. Raises UnknownJobError, CursorError and
        ProjectionBehindError.
        """
        check_backfilled(self._pending_backfill, "assets", ("job_id", "node_id", "attempt"))
        wanted = sorted(set(statuses))
        binding = orjson.dumps(["compare", user_id, *a, *b, wanted])
        start = [0, 0]
        if cursor:
            first, second, *start = unseal_values(cursor, binding, *[(int,)] * 4)
            a, b = a._replace(attempt=first), b._replace(attempt=second)
        async with self._readers.snapshot() as db:
            attempts = await _number(db, user_id, a), await _number(db, user_id, b)
            jobs = orjson.dumps([[a.job_id, attempts[0]], [b.job_id, attempts[1]]]).decode()
            values = (jobs, user_id, *start, orjson.dumps(wanted).decode(), page_size + 1)
            found = [_Row(*row) for row in await db.rows(_COMPARE, values)]
            ((position,),) = await db.rows(_REFLECTED)
        rows, following = _cut([row for row in found if row.bytes >= 0], page_size)
        counts = {row.status: row.nth for row in found if row.bytes == _COUNT}
        key = following and orjson.dumps([*attempts, following.place, following.beside])
        return JobComparison(
            a.job_id,
            b.job_id,
            attempts,
            dict.fromkeys(STATUSES, 0) | counts,
            [row.pair for row in rows],
            next((row.pair for row in found if row.bytes == _DIVERGENCE), None),
            seal(key, binding) if key else "",
            position,
        )


def _cut(rows: Sequence[_Row], page_size: int) -> tuple[Sequence[_Row], _Row | None]:
    """Return the rows of a page, and the first one of the next page, if it is among them."""
    if len(rows) > page_size or (rows and rows[-1].bytes > MAX_BYTES):
        return rows[:-1], rows[-1]
    return rows, None


async def _number(db: Snapshot, user_id: str, name: AttemptName) -> int:
    """Return the number of an attempt. Raises UnknownJobError."""
    for (last,) in await db.rows(_LAST, (user_id, name.job_id)):
        if (name.attempt or last) <= last:
            return name.attempt or int(last)
        raise UnknownJobError(name.job_id, name.attempt)
    raise UnknownJobError(name.job_id)
