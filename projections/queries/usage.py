"""Queries of usage: groups of live assets with count, bytes and dates, and of runs of nodes.

Without filters a page of one grouping is read from the table of totals. Else it is counted from the
rows of one index of `assets`, and from `node_runs`. The days and hours of a time zone are made from
quarters of an hour: first the rows are grouped by quarter, then these by day or hour.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.asset_query import Condition, conditions
from asset_ledger.projections.queries.asset_statements import BY_ID, INDEXES, Sql
from asset_ledger.projections.queries.pages import (
    BRIEF,
    Page,
    PendingBackfill,
    among,
    check_backfilled,
    seal,
    unseal_values,
)
from asset_ledger.projections.queries.zones import QUARTER, UTC_ZONE, Zone, offsets_json

GROUPINGS: Final = ("node_id", "job_id", "workflow_id", "content_type", "day", "hour")
TIMES: Final = frozenset({"day", "hour"})
"""The groupings by `created_at`, of runs by their end."""

SORTS: Final = ("-bytes", "-count", "-largest", "-seconds", "-failed", "key")

RUN_FILTERS: Final = frozenset(
    {"job_id", "workflow_id", "node_id", "attempt", "created_after", "created_before"}
)
"""The filters that runs have, by time that of their end. With another one, no run is counted."""

MAX_YEARS: Final = 400
"""Years with assets whose offsets are looked up; in others, that of today holds."""

_YEARS: Final = f"""
    WITH RECURSIVE had(year) AS (
        SELECT substr(min(key), 1, 4) FROM usage WHERE user_id = ?1 AND dimension = 'quarter'
        UNION ALL
        SELECT (SELECT substr(min(key), 1, 4) FROM usage
            WHERE user_id = ?1 AND dimension = 'quarter' AND key > had.year || '~')
        FROM had WHERE had.year IS NOT NULL
    )
    SELECT year FROM had WHERE year IS NOT NULL LIMIT {MAX_YEARS}
"""
_TOTALS: Final = """
    SELECT key, count, bytes, largest, nullif(first_seen, '~') AS first_seen,
        nullif(last_seen, '') AS last_seen, runs, failed, micros
    FROM usage {index} WHERE user_id = ? AND dimension = ?
"""
# Without INDEXED BY, SQLite walks the index of the grouping, which has all assets of the user.
_ASSETS: Final = """
    SELECT {keys}, count(*) AS count, sum(size) AS bytes, max(size) AS largest,
        min(created_at) AS first_seen, max(created_at) AS last_seen,
        0 AS runs, 0 AS failed, 0 AS micros
    FROM assets INDEXED BY {index}
    WHERE user_id = ? AND deleted_at IS NULL{tests} GROUP BY {columns}
"""
_RUNS: Final = """
    SELECT {keys}, 0, 0, 0, NULL, NULL, count(*), count(*) FILTER (WHERE status = 'failed'),
        coalesce(sum(CAST(micros AS REAL)), 0)
    FROM node_runs WHERE user_id = ? AND finished_at IS NOT NULL{tests} GROUP BY {columns}
"""
_GROUPED: Final = """
    SELECT {keys}, sum(count) AS count, sum(bytes) AS bytes, max(largest) AS largest,
        min(first_seen) AS first_seen, max(last_seen) AS last_seen, sum(runs) AS runs,
        sum(failed) AS failed, CAST(sum(micros) AS INTEGER) AS micros
    FROM ({rows}){zone} GROUP BY {columns}
"""
_IN_ZONE: Final = """
    LEFT JOIN (
        SELECT value ->> 0 AS year, value ->> 1 AS begins, value ->> 2 AS ends,
            CAST(value ->> 3 AS INTEGER) AS seconds
        FROM json_each(?)
    ) AS had ON had.year = substr(moment, 1, 4) AND begins <= moment AND moment < ends
"""
_SECONDS: Final = "coalesce(seconds, {today:d})"
_PERIODS: Final[Mapping[tuple[str, bool], str]] = {
    ("day", True): "substr({moment}, 1, 10)",
    ("hour", True): "substr({moment}, 1, 13) || ':00Z'",
    ("day", False): "coalesce(strftime('%Y-%m-%d', moment, {seconds} || ' seconds'),"
    " substr(moment, 1, 10))",
    ("hour", False): "strftime('%Y-%m-%dT%H:%MZ', moment, '-' || ("
    " (CAST(substr(moment, 15, 2) AS INTEGER) * 60 + {seconds} + 86400) % 3600) || ' seconds')",
}
"""SQL of the day or hour of a moment, in UTC or not. An hour is the time in UTC at which it begins:
so its text is unique and sorts by time, also where clocks are put back."""

_PAGE: Final = """
    SELECT * FROM (
        SELECT json_object({names}, 'count', count, 'bytes', bytes,
            'largest', largest, 'first_seen', first_seen, 'last_seen', last_seen,
            'runs', runs, 'failed', failed, 'seconds', micros / CAST(1e6 AS REAL)),
            {sorted}, {columns}
        FROM ({source}) {after} ORDER BY {order} LIMIT ?
    )
    UNION ALL SELECT NULL, {nulls}, CAST(position AS TEXT) FROM positions WHERE projection = ?
"""


class UsageQuery(NamedTuple):
    """A request for usage: user, one or two groupings, filters of assets, sort and time zone."""

    user_id: str
    group_by: tuple[str, ...]
    filters: Mapping[str, Sequence[str]]
    sort: str
    zone: Zone = UTC_ZONE

    @property
    def binding(self) -> bytes:
        """The bytes that bind a cursor to this query."""
        wanted = {name: sorted(set(values)) for name, values in self.filters.items()}
        parts = ["usage", self.user_id, self.group_by, wanted, self.sort, self.zone.name]
        return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)

    @property
    def column(self) -> str:
        """The column to sort by."""
        name = self.sort.removeprefix("-")
        return "micros" if name == "seconds" else name

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the groupings in a row."""
        return ("key", "subkey")[: len(self.group_by)]

    @property
    def has_totals(self) -> bool:
        """Whether the table of totals has the groups, or their quarters of an hour."""
        return not self.filters and len(self.group_by) == 1

    @property
    def in_quarters(self) -> bool:
        """Whether its groups are made from quarters of an hour."""
        in_totals = self.has_totals and "hour" in self.group_by
        return in_totals or (not self.zone.is_utc and not TIMES.isdisjoint(self.group_by))


class UsageQueries:
    """Queries of usage. Counted groups are read from `assets`, others from the totals."""

    def __init__(
        self,
        totals: AsyncReaders,
        assets: AsyncReaders,
        pending_backfill: PendingBackfill = frozenset,
    ) -> None:
        self._totals, self._assets, self._pending_backfill = totals, assets, pending_backfill

    async def page(self, query: UsageQuery, *, page_size: int, cursor: str = "") -> Page:
        """Return groups in order, from a cursor on.

        Raises ParameterError for a malformed filter, CursorError and ProjectionBehindError.
        """
        readers, projection, source = self._totals, "usage", _totals(query)
        if not query.has_totals:
            tests = conditions(query.user_id, query.filters)
            columns = {test.column for each in tests for test in each.any_of}
            check_backfilled(self._pending_backfill, "assets", {*columns, *query.group_by})
            readers, projection, source = self._assets, "assets", _counted(query, tests)
        if query.in_quarters:
            source = _in_periods(query, source, await self._offsets(query))
        start = _start(query, cursor) if cursor else None
        sql, parameters = _statement(query, source, start, page_size + 1)
        brief = source.brief and page_size <= BRIEF
        *rows, last = await readers.rows(sql, [*parameters, projection], brief)
        page = rows[:page_size]
        after = ""
        if len(rows) > page_size:
            after = seal(orjson.dumps(page[-1][1:]), query.binding)
        text = ",".join(row[0] for row in page)
        return Page(text.encode(), len(page), after, int(last[-1]))

    async def _offsets(self, query: UsageQuery) -> str:
        """Return the offsets of the zone in the years that have assets, as JSON."""
        if query.zone.is_utc:
            return "[]"
        found = await self._totals.rows(_YEARS, (query.user_id,), brief=True)
        years = sorted({datetime.now(UTC).year, *(int(year) for (year,) in found)})
        return await asyncio.to_thread(offsets_json, query.zone, years)


def _totals(query: UsageQuery) -> Sql:
    """Return SQL of one range of the table of totals: of groups, or of quarters of an hour."""
    dimension, index = query.group_by[0], f"INDEXED BY usage_by_{query.column}"
    if query.in_quarters:
        dimension, index = "quarter", ""
    if query.column == "key":
        index = ""
    parameters = [query.user_id, dimension]
    return Sql(_TOTALS.format(index=index), parameters, brief=not query.in_quarters)


def _counted(query: UsageQuery, tests: Sequence[Condition]) -> Sql:
    """Return SQL of all groups, or quarters of an hour, counted from assets and runs."""
    columns = ", ".join(query.columns)
    keys = _keys(query, "created_at")
    assets = _tests(tests)
    parts = [_ASSETS.format(keys=keys, index=_index(tests), tests=assets.text, columns=columns)]
    parameters = [query.user_id, *assets.parameters]
    if "content_type" not in query.group_by and query.filters.keys() <= RUN_FILTERS:
        runs = _tests([_of_runs(each) for each in tests])
        keys = _keys(query, "finished_at")
        parts.append(_RUNS.format(keys=keys, tests=runs.text, columns=columns))
        parameters += [query.user_id, *runs.parameters]
    rows = " UNION ALL ".join(f"SELECT * FROM ({part})" for part in parts)
    if query.in_quarters:
        return Sql(rows, parameters)
    return Sql(_GROUPED.format(keys=columns, rows=rows, zone="", columns=columns), parameters)


def _keys(query: UsageQuery, moment: str) -> str:
    """Return SQL of the groupings of a row, or of its quarter of an hour instead of a period."""
    made = []
    for grouping, column in zip(query.group_by, query.columns, strict=True):
        text = f"coalesce({grouping}, '')"
        if grouping in TIMES:
            period = QUARTER.format(moment) if query.in_quarters else _PERIODS[grouping, True]
            text = period.format(moment=moment)
        made.append(f"{text} AS {column}")
    return ", ".join(made)


def _in_periods(query: UsageQuery, quarters: Sql, offsets: str) -> Sql:
    """Return SQL of the days or hours that quarters of an hour are in."""
    is_utc, today = query.zone.is_utc, datetime.now(UTC).astimezone(query.zone.rules).utcoffset()
    seconds = _SECONDS.format(today=round(today.total_seconds()) if today else 0)
    keys, rows = [], quarters.text
    for grouping, column in zip(query.group_by, query.columns, strict=True):
        if grouping in TIMES:
            period = _PERIODS[grouping, is_utc].format(moment="moment", seconds=seconds)
            rows = f"SELECT {column} AS moment, * FROM ({rows})"
            keys.append(f"{period} AS {column}")
        else:
            keys.append(f"subject.{column} AS {column}")
    columns = ", ".join(str(n) for n, _ in enumerate(keys, 1))
    text = _GROUPED.format(
        keys=", ".join(keys),
        rows=rows,
        zone=" AS subject" + ("" if is_utc else _IN_ZONE),
        columns=columns,
    )
    return Sql(text, [*quarters.parameters, *([] if is_utc else [offsets])])


def _index(tests: Sequence[Condition]) -> str:
    """Return the narrowest index of live assets whose columns the conditions fix."""
    fixed = {each.column for each in tests if each.fixed or _is_list(each)}
    if "id" in fixed:
        return BY_ID
    return next(index.name for index in INDEXES if set(index.columns) <= fixed)


def _tests(conditions: Sequence[Condition]) -> Sql:
    """Return ` AND <test>` of each condition, in the form that an index can use."""
    text, parameters = "", list[Any]()
    for each in conditions:
        if _is_list(each):
            value = among(each.column or "")
            text += f" AND {each.column} IN (SELECT {value} FROM json_each(?))"
            parameters.append(orjson.dumps(each.values).decode())
        else:
            condition, values = each.sql()
            text += f" AND {condition}"
            parameters += values
    return Sql(text, parameters)


def _is_list(condition: Condition) -> bool:
    """Return whether a condition is that one column has one of some values."""
    is_equal = all(test.operator == "equal" and test.value is not None for test in condition.any_of)
    return is_equal and condition.column is not None


def _of_runs(condition: Condition) -> Condition:
    """Return a condition of assets as one of runs, whose time is that of their end."""
    tests = (
        test._replace(column="finished_at") if test.column == "created_at" else test
        for test in condition.any_of
    )
    return Condition(tuple(tests))


def _start(query: UsageQuery, cursor: str) -> list[Any]:
    """Return the sorted value and the keys of the row before a page. Raises CursorError."""
    return unseal_values(cursor, query.binding, (str, int), *[(str,)] * len(query.columns))


def _statement(
    query: UsageQuery, source: Sql, start: Sequence[Any] | None, limit: int
) -> tuple[str, list[Any]]:
    """Return the SQL of a page: rows (JSON, sorted value, keys), then (NULL, ..., position)."""
    names, edge = query.columns, list(start or ())
    order, beyond = ", ".join(names), ">"
    compared, edge = (names, edge[1:]) if query.column == "key" else ((query.column, *names), edge)
    if query.column != "key":
        order, beyond = ", ".join(f"{name} DESC" for name in compared), "<"
    marks = ", ".join("?" * len(compared))
    after = f"WHERE ({', '.join(compared)}) {beyond} ({marks})" if edge else ""
    sql = _PAGE.format(
        names=", ".join(f"'{name}', nullif({name}, '')" for name in names),
        sorted=query.column,
        columns=", ".join(names),
        nulls=", ".join(["NULL"] * len(names)),
        source=source.text,
        after=after,
        order=order,
    )
    return sql, [*source.parameters, *edge, limit]
