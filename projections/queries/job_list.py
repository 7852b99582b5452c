"""The SQL of lists of jobs: filters, orders, pages and counts.

By creation, a request walks at most `WALK` jobs of an index. In another order, or by a prefix, it
sorts at most `WALK`: the newest, or the first with the prefix in the order of text. An index by
bytes would slow down every upload.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.projections.queries.pages import (
    MAX_BYTES,
    SORTS,
    among,
    open_cursor,
    seal,
    seal_cursor,
    unseal_values,
)

WALK: Final = 20_000
"""How many jobs a request reads to find those that match its filters, or to sort them."""
NEWEST: Final = 100
"""How many assets of a job, the newest, a preview looks at."""
MAX_PREVIEWED: Final = 100
"""The most jobs of a page with previews."""

_STATUS: Final = "CASE WHEN status = 'running' AND updated_at < ?1 THEN 'stale' ELSE status END"
"""?1 is the time before which the last event of a running job makes it `stale`. It has to be the
first parameter in the text of a statement."""

MAX_ERROR: Final = 2_000
"""The characters of an error in the list of a job's attempts. Its event has all of them."""
_ATTEMPTS: Final = f"""
    SELECT coalesce(json_group_array(json_object(
        'attempt', each.attempt, 'error', substr(each.error, 1, {MAX_ERROR}),
        'started_at', each.started_at, 'finished_at', each.finished_at, 'status', CASE
            WHEN each.status = 'running' AND jobs.updated_at < ?1 THEN 'stale' ELSE each.status END
    )), '[]')
    FROM (
        SELECT * FROM job_attempts AS made
        WHERE made.user_id = jobs.user_id AND made.job_id = jobs.job_id ORDER BY made.attempt
    ) AS each
"""
_PREVIEW: Final = f"""
    SELECT coalesce(json_group_array(url), '[]') FROM (
        SELECT url FROM (
            SELECT made.json ->> 'thumb_url' AS url FROM assets AS made INDEXED BY assets_by_job
            WHERE made.user_id = jobs.user_id AND made.job_id = jobs.job_id
                AND made.deleted_at IS NULL ORDER BY made.seq DESC LIMIT {NEWEST}
        ) WHERE url IS NOT NULL LIMIT {{count}}
    )
"""
REFLECTED: Final = "SELECT position FROM positions WHERE projection = 'jobs'"

_GIVEN: Final = "(SELECT value FROM json_each(?))"
_MADE_BY: Final = f"""
    (EXISTS (SELECT 1 FROM json_each(?) CROSS JOIN assets AS made INDEXED BY assets_by_job_node
        ON made.user_id = jobs.user_id AND made.job_id = jobs.job_id AND made.node_id = value
            AND made.deleted_at IS NULL)
    OR EXISTS (SELECT 1 FROM node_runs AS run WHERE run.user_id = jobs.user_id
        AND run.job_id = jobs.job_id AND run.node_id IN {_GIVEN}))
"""
FILTERS: Final[Mapping[str, str]] = {
    "status": f"{_STATUS} IN {_GIVEN}",
    "workflow_id": f"workflow_id IN {_GIVEN}",
    "parent_job_id": f"parent_job_id IN {_GIVEN}",
    "attempt": f"attempt IN (SELECT {among('attempt')} FROM json_each(?))",
    "started_after": "started_at >= (SELECT min(value) FROM json_each(?))",
    "started_before": "started_at < (SELECT max(value) FROM json_each(?))",
    "node_id": _MADE_BY,
}
"""The filters of a list of jobs, with their SQL. A question mark is the values as JSON."""

_MS: Final = "CAST(round((julianday(finished_at) - julianday(started_at)) * 86400000) AS INTEGER)"
_KEYS: Final[Mapping[str, str]] = {
    "-bytes": "bytes",
    "-assets": "assets",
    "-duration": f"coalesce(max(0, {_MS}), -1)",
    "-finished_at": "coalesce(finished_at, '')",
}
"""The values to sort by. Jobs that have not ended come last."""
JOB_SORTS: Final = (*SORTS, *_KEYS)


class JobQuery(NamedTuple):
    """A request for jobs: user, values by filter, sort, the beginning of their ids, and how many
    pictures of each to show."""

    user_id: str
    filters: Mapping[str, Sequence[str | int]]
    sort: str = "created_at"
    prefix: str = ""
    preview: int = 0

    @property
    def binding(self) -> bytes:
        """The bytes that bind a cursor to this query."""
        wanted = {name: sorted(set(self.filters[name])) for name in sorted(self.filters)}
        return orjson.dumps(["jobs", self.user_id, self.sort, wanted, self.prefix])

    @property
    def is_walk(self) -> bool:
        """Whether an index has the order of the list."""
        return self.sort in SORTS and not self.prefix

    def cursor_at(self, row: Sequence[Any]) -> str:
        """Return the cursor of the page that begins with a row of `page_statement`."""
        if self.is_walk:
            return seal_cursor(row[0], self.binding)
        return seal(orjson.dumps([row[3], row[0]]), self.binding)

    def cursor_at_edge(self, edge: int | None) -> str:
        """Return the cursor of the page that begins where a walk ended; `""` at the end."""
        return "" if edge is None else seal_cursor(edge, self.binding)


def job_json(preview: int = 0) -> str:
    """Return SQL of a job's API JSON, with the addresses of its newest pictures if asked for."""
    pictures = f", 'preview', json(({_PREVIEW.format(count=preview)}))" if preview else ""
    return f"""
        CAST(json_object(
            'job_id', job_id, 'user_id', user_id, 'workflow_id', workflow_id,
            'parent_job_id', parent_job_id, 'attempt', attempt, 'status', {_STATUS},
            'error', error, 'parameters', json(parameters), 'started_at', started_at,
            'finished_at', finished_at, 'assets', assets, 'bytes', bytes,
            'attempts', json(({_ATTEMPTS})), 'first_position', first_position,
            'last_position', last_position, 'updated_at', updated_at{pictures}
        ) AS BLOB)
    """


def page_statement(query: JobQuery, cursor: str, limit: int) -> tuple[str, list[Any]]:
    """Return SQL of rows (first position, JSON, sum of bytes, sorted value), then (end of a walk,
    NULL, position, NULL). The row that exceeds `MAX_BYTES` is the last one, or the one after it if
    it is the first.

    The first parameter, which is not returned, is that of `_STATUS`. Raises CursorError.
    """
    rows, order, edge = (_walked if query.is_walk else _sorted)(query, cursor, limit)
    sql = f"""
        SELECT first_position, json, bytes, key FROM (
            SELECT *, sum(length(json)) OVER (
                ORDER BY {order} ROWS UNBOUNDED PRECEDING
            ) AS bytes, row_number() OVER (ORDER BY {order}) AS number
            FROM ({rows[0]})
        ) WHERE bytes - length(json) <= {MAX_BYTES} OR number = 2
        UNION ALL
        SELECT ({edge[0]}), NULL, ({REFLECTED}), NULL
    """
    return sql, [*rows[1], *edge[1]]


def count_statement(query: JobQuery) -> tuple[str, list[Any]]:
    """Return SQL of rows (status, number of jobs), whose first parameter is that of `_STATUS`."""
    source, parameters = _source(query)
    tests, values = _tests(query)
    sql = f"SELECT {_STATUS}, count(*) FROM jobs {source}{tests} GROUP BY 1"
    return sql, [*parameters, *values]


Statement = tuple[str, list[Any]]


def _walked(query: JobQuery, cursor: str, limit: int) -> tuple[Statement, str, Statement]:
    """Return SQL of the matches among the next jobs, their order, and SQL of where it stops."""
    order = SORTS[query.sort]
    start = open_cursor(cursor, query.binding) if cursor else order.start
    source, parameters = _source(query)
    walk = f"""
        FROM jobs {source} AND first_position {order.onwards} ?
        ORDER BY first_position {order.direction}
    """
    walked, (tests, values) = [*parameters, start], _tests(query)
    rows = f"""
        SELECT first_position, {job_json(query.preview)} AS json, NULL AS key
        FROM (SELECT * {walk} LIMIT {WALK}) AS jobs WHERE true{tests} LIMIT ?
    """
    edge = f"SELECT first_position {walk} LIMIT 1 OFFSET {WALK}"
    direction = f"first_position {order.direction}"
    return (rows, [*walked, *values, limit]), direction, (edge, walked)


def _sorted(query: JobQuery, cursor: str, limit: int) -> tuple[Statement, str, Statement]:
    """Return likewise the matches among those jobs that are sorted."""
    key, ascending = _KEYS.get(query.sort, "first_position"), query.sort == "created_at"
    direction, onwards = ("ASC", ">=") if ascending else ("DESC", "<=")
    start = unseal_values(cursor, query.binding, (str, int), (int,)) if cursor else []
    after = f" AND (key, first_position) {onwards} (?, ?)" if start else ""
    source, parameters = _source(query)
    among = "job_id" if query.prefix else "first_position DESC"
    tests, values = _tests(query)
    order = f"key {direction}, first_position {direction}"
    # Only the jobs of the page get their JSON. `?1` stands first in the text: see `_STATUS`.
    rows = f"""
        SELECT first_position, {job_json(query.preview)} AS json, key FROM (
            SELECT user_id AS owner, job_id AS id, key FROM (
                SELECT *, {key} AS key
                FROM (SELECT * FROM jobs {source} ORDER BY {among} LIMIT {WALK}) AS jobs
                WHERE true{tests}
            ) WHERE true{after} ORDER BY {order} LIMIT ?
        ) AS chosen CROSS JOIN jobs ON jobs.user_id = owner AND jobs.job_id = id
    """
    return (rows, [*parameters, *values, *start, limit]), order, ("NULL", [])


def _source(query: JobQuery) -> Statement:
    """Return SQL of one range of an index of jobs."""
    if query.prefix:
        ends = [query.prefix, f"{query.prefix}\U0010ffff"]
        return "WHERE user_id = ? AND job_id >= ? AND job_id < ?", [query.user_id, *ends]
    workflows = query.filters.get("workflow_id", ())
    if len(workflows) == 1:
        text = "INDEXED BY jobs_by_workflow WHERE user_id = ? AND workflow_id = ?"
        return text, [query.user_id, workflows[0]]
    return "INDEXED BY jobs_by_user WHERE user_id = ?", [query.user_id]


def _tests(query: JobQuery) -> Statement:
    """Return ` AND <test>` of each filter, and their parameters."""
    text, parameters = "", list[Any]()
    for name, values in query.filters.items():
        text += f" AND {FILTERS[name]}"
        parameters += [orjson.dumps(values).decode()] * FILTERS[name].count("json_each(?)")
    return text, parameters
