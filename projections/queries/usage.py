"""Queries of usage: groups of live assets with count, bytes and dates, and of runs of nodes.

Without filters a page is read from the table of totals. With filters it is counted from the rows of
one index of `assets`, and of one of `node_runs`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.pages import (
    BRIEF,
    Page,
    PendingBackfill,
    among,
    check_backfilled,
    seal,
    unseal_values,
)

FILTERS: Final = ("job_id", "workflow_id", "node_id", "attempt")
"""The filters of usage, the narrowest first. No index has the attempt."""

SORTS: Final = ("-bytes", "-count", "-largest", "-seconds", "-failed", "key")

_INDEXES: Final[Mapping[tuple[str, ...], str]] = {
    (): "assets_by_user",
    ("job_id",): "assets_by_job",
    ("job_id", "node_id"): "assets_by_job_node",
    ("job_id", "workflow_id"): "assets_by_job",
    ("job_id", "workflow_id", "node_id"): "assets_by_job_node",
    ("workflow_id",): "assets_by_workflow",
    ("workflow_id", "node_id"): "assets_by_workflow_node",
    ("node_id",): "assets_by_node",
}
_TOTALS: Final = """
    SELECT key, count, bytes, largest, nullif(first_seen, '~') AS first_seen,
        nullif(last_seen, '') AS last_seen, runs, failed, micros
    FROM usage {index} WHERE user_id = ? AND dimension = ?
"""
# Without INDEXED BY, SQLite walks the index of the grouping, which has all assets of the user.
_COUNTED: Final = """
    SELECT coalesce({key}, '') AS key, count(*) AS count, sum(size) AS bytes, max(size) AS largest,
        min(created_at) AS first_seen, max(created_at) AS last_seen
    FROM assets INDEXED BY {index}
    WHERE user_id = ? AND deleted_at IS NULL{tests} GROUP BY 1
"""
_RUNS: Final = """
    SELECT coalesce({key}, '') AS key, count(*) AS runs,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        coalesce(sum(micros), 0) AS micros
    FROM node_runs WHERE user_id = ? AND finished_at IS NOT NULL{tests} GROUP BY 1
"""
_BOTH: Final = """
    SELECT key, sum(count) AS count, sum(bytes) AS bytes, max(largest) AS largest,
        max(first_seen) AS first_seen, max(last_seen) AS last_seen, sum(runs) AS runs,
        sum(failed) AS failed, CAST(sum(micros) AS INTEGER) AS micros
    FROM (
        SELECT *, 0 AS runs, 0 AS failed, 0 AS micros FROM ({assets})
        UNION ALL SELECT key, 0, 0, 0, NULL, NULL, runs, failed, micros FROM ({runs})
    )
    GROUP BY key
"""
_NO_RUNS: Final = "SELECT *, 0 AS runs, 0 AS failed, 0 AS micros FROM ({assets})"
_PAGE: Final = """
    SELECT * FROM (
        SELECT json_object('key', nullif(key, ''), 'count', count, 'bytes', bytes,
            'largest', largest, 'first_seen', first_seen, 'last_seen', last_seen,
            'runs', runs, 'failed', failed, 'seconds', micros / CAST(1e6 AS REAL)), {sorted}, key
        FROM ({source}) {after} ORDER BY {order} LIMIT ?
    )
    UNION ALL SELECT NULL, NULL, CAST(position AS TEXT) FROM positions WHERE projection = ?
"""


class UsageQuery(NamedTuple):
    """A request for usage: user, grouping, filters and sort."""

    user_id: str
    group_by: str
    filters: Mapping[str, Sequence[str | int]]
    sort: str

    @property
    def binding(self) -> bytes:
        """The bytes that bind a cursor to this query."""
        wanted = {name: sorted(set(values), key=str) for name, values in self.filters.items()}
        parts = ["usage", self.user_id, self.group_by, wanted, self.sort]
        return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)

    @property
    def column(self) -> str:
        """The column to sort by."""
        name = self.sort.removeprefix("-")
        return "micros" if name == "seconds" else name

    def source(self) -> tuple[str, list[Any]]:
        """Return SQL of all groups with their totals, and its parameters."""
        if not self.filters:
            index = "" if self.column == "key" else f"INDEXED BY usage_by_{self.column}"
            return _TOTALS.format(index=index), [self.user_id, self.group_by]
        names = tuple(name for name in FILTERS if name in self.filters)
        tests = "".join(
            f" AND {name} IN (SELECT {among(name)} FROM json_each(?))" for name in names
        )
        values = [self.user_id, *(orjson.dumps(self.filters[name]).decode() for name in names)]
        key = "substr(created_at, 1, 10)" if self.group_by == "day" else self.group_by
        index = _INDEXES[tuple(name for name in names if name != "attempt")]
        assets = _COUNTED.format(key=key, index=index, tests=tests)
        if self.group_by == "content_type":
            return _NO_RUNS.format(assets=assets), values
        key = "substr(finished_at, 1, 10)" if self.group_by == "day" else self.group_by
        runs = _RUNS.format(key=key, tests=tests)
        return _BOTH.format(assets=assets, runs=runs), [*values, *values]


class UsageQueries:
    """Queries of usage, each one statement on a read-only connection."""

    def __init__(
        self,
        totals: AsyncReaders,
        assets: AsyncReaders,
        pending_backfill: PendingBackfill = frozenset,
    ) -> None:
        self._totals, self._assets, self._pending_backfill = totals, assets, pending_backfill

    async def page(self, query: UsageQuery, *, page_size: int, cursor: str = "") -> Page:
        """Return groups in order, from a cursor on. Raises CursorError, ProjectionBehindError."""
        if query.filters:  # counted over the assets
            check_backfilled(self._pending_backfill, "assets", {*query.filters, query.group_by})
        readers, projection = (self._assets, "assets") if query.filters else (self._totals, "usage")
        start = unseal_values(cursor, query.binding, (str, int), (str,)) if cursor else None
        sql, parameters = _statement(query, start, page_size + 1)
        brief = not query.filters and page_size <= BRIEF  # one range of an index
        *rows, (_, _, position) = await readers.rows(sql, [*parameters, projection], brief)
        page = rows[:page_size]
        after = ""
        if len(rows) > page_size:
            _, value, key = page[-1]
            after = seal(orjson.dumps([value, key]), query.binding)
        return Page(",".join(json for json, _, _ in page).encode(), len(page), after, int(position))


def _statement(query: UsageQuery, start: Sequence[Any] | None, limit: int) -> tuple[str, list[Any]]:
    source, parameters = query.source()
    if query.column == "key":
        order, beyond, edge = "key", "key > ?", start and start[1:]
    else:
        order, beyond = f"{query.column} DESC, key DESC", f"({query.column}, key) < (?, ?)"
        edge = start
    after = f"WHERE {beyond}" if edge else ""
    sql = _PAGE.format(sorted=query.column, source=source, after=after, order=order)
    return sql, [*parameters, *(edge or ()), limit]
