"""The SQL of lists of assets: which index a list walks, where it stops, in which order it answers.

A page costs what it holds, not what the table holds, whenever an index covers its filters. Filters
that no index covers look at no more than `WALK` rows a request; a page that stopped there is short.
No index is in the order of a name or a size, since every upload would pay for it: the rows of the
narrowest index are sorted, up to `WALK` of them. The catalog has the order of longer lists.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.projections.queries.asset_query import AssetQuery, Condition
from asset_ledger.projections.queries.pages import BRIEF, Page

WALK: Final = 20_000
"""How many index rows one request looks at for filters that no index covers."""
LANES: Final = 100
"""How many values, or pairs of values, of repeated filters are merged; more are walked."""


class Index(NamedTuple):
    """An index on `user_id`, these columns and `seq`, over live rows, or over tombstones."""

    name: str
    columns: tuple[str, ...]
    rows: str = "deleted_at IS NULL"


INDEXES: Final = (
    Index("assets_by_job_node", ("job_id", "node_id")),
    Index("assets_by_workflow_node", ("workflow_id", "node_id")),
    Index("assets_by_job", ("job_id",)),
    Index("assets_by_parent", ("parent_id",)),
    Index("assets_by_node", ("node_id",)),
    Index("assets_by_workflow", ("workflow_id",)),
    Index("assets_by_media", ("content_type",)),
    Index("assets_by_user", ()),
)
"""The narrowest first: a job is smaller than a folder, a node or a workflow."""
_TOMBSTONES: Final = Index("assets_deleted", (), "deleted_at IS NOT NULL")
_COVERING: Final = {frozenset(index.columns): index for index in INDEXES}
_POSITION: Final = "SELECT position FROM positions WHERE projection = 'assets'"


class Sql(NamedTuple):
    """A piece of a statement and the parameters of its question marks, in order.

    A `brief` statement reads one short run of neighbours in an index.
    """

    text: str
    parameters: list[Any]
    brief: bool = False


_START: Final = object()
"""Stands among the parameters for the seq that a page starts at."""


def page_statement(query: AssetQuery) -> Sql:
    """SQL that answers one row: what `page_of` takes after the query, in its order."""
    text, parameters, brief = _statement(query)
    return Sql(text, [query.start if value is _START else value for value in parameters], brief)


@lru_cache(maxsize=1_024)  # all pages of a list have one
def _statement(query: AssetQuery) -> Sql:
    rows, edge = _plan(query)
    last = "max" if query.sort.direction == "ASC" else "min"
    text = f"""
        SELECT CAST(group_concat(json, ',\n') AS BLOB), count(*), {last}(seq),
            CASE WHEN count(*) <= ? THEN ({edge.text}) END, ({_POSITION})
        FROM ({rows.text})
    """
    return Sql(text, [query.size, *edge.parameters, *rows.parameters], rows.brief)


def page_of(
    query: AssetQuery,
    json: bytes | None,
    found: int,
    last: int,
    edge: int | None,
    position: int,
) -> Page:
    """The page in that row: `found` assets, one a line, the last of them at seq `last`.

    An asset beyond the page is cut off (no JSON has a newline in it): the next page starts there.
    Without one, the next page starts at the `edge` of a walk that stopped, or there is none.
    """
    if json is None or found <= query.size:
        return Page(json or b"", found, query.next_cursor(edge), position)
    return Page(json[: json.rindex(b",\n")], query.size, query.next_cursor(last), position)


def _plan(query: AssetQuery) -> tuple[Sql, Sql]:
    """The rows of a page and one beyond it; and the edge of the walk, where there is a walk."""
    by_column = {c.column: c for c in query.conditions if c.column is not None}
    index = _COVERING.get(frozenset(by_column)) if True not in query.lives else None
    lanes = prod(len(condition.any_of) for condition in query.conditions)
    if index is None or len(by_column) < len(query.conditions) or lanes > LANES:
        return _walk(query)
    return _covered(query, index, by_column), Sql("NULL", [])


def _covered(query: AssetQuery, index: Index, by_column: Mapping[str, Condition]) -> Sql:
    if all(condition.fixed for condition in query.conditions):
        keys = {column: by_column[column].values[0] for column in index.columns}
        lane = _lane(query, index, "seq, json", keys, query.size + 1)
        return lane._replace(brief=query.size <= BRIEF)
    return _merged(query, index, by_column)


def _lane(
    query: AssetQuery,
    index: Index,
    columns: str,
    keys: Mapping[str, Any],
    limit: int,
    offset: int = 0,
) -> Sql:
    """Rows with these values in an index, in its order: one run of neighbours."""
    rows = _rows(query, index, columns, keys)
    text = f"""{rows.text} AND seq {query.sort.onwards} ?
        ORDER BY seq {query.sort.direction} LIMIT ? OFFSET ?
    """
    return Sql(text, [*rows.parameters, _START, limit, offset])


def _rows(query: AssetQuery, index: Index, columns: str, keys: Mapping[str, Any]) -> Sql:
    """All rows with these values in an index."""
    tests = "".join(f" AND {column} IS ?" for column in keys)
    text = f"""
        SELECT {columns} FROM assets INDEXED BY {index.name}
        WHERE user_id = ?{tests} AND {index.rows}"""
    return Sql(text, [query.user_id, *keys.values()])


def _merged(query: AssetQuery, index: Index, by_column: Mapping[str, Condition]) -> Sql:
    """The first rows of several lanes, then the first of all of those.

    A table-valued function may look to its left, which a subquery may not: hence json_each.
    """
    lanes = [_lane_values(query, by_column[column]) for column in index.columns]
    keys = "".join(f" AND {column} IS lane{n}.value" for n, column in enumerate(index.columns))
    sources = ", ".join(f"({lane.text}) AS lane{n}" for n, lane in enumerate(lanes))
    direction, limit = query.sort.direction, query.size + 1
    text = f"""
        SELECT a.seq AS seq, a.json AS json FROM (
            SELECT first.value AS seq FROM {sources}, json_each((
                SELECT json_group_array(seq) FROM (
                    SELECT seq FROM assets INDEXED BY {index.name}
                    WHERE user_id = ?{keys} AND {index.rows} AND seq {query.sort.onwards} ?
                    ORDER BY seq {direction} LIMIT ?
                )
            )) AS first ORDER BY first.value {direction} LIMIT ?
        ) AS merged CROSS JOIN assets AS a ON a.seq = merged.seq
    """
    given = [parameter for lane in lanes for parameter in lane.parameters]
    return Sql(text, [*given, query.user_id, _START, limit, limit])


def _lane_values(query: AssetQuery, condition: Condition) -> Sql:
    values = orjson.dumps(condition.values).decode()
    if condition.any_of[0].how == "equal":
        return Sql("SELECT value FROM json_each(?)", [values])
    return Sql(_MEDIA_TYPES, [query.user_id, values, query.user_id])


_NEXT_TYPE: Final = """
    SELECT min(content_type) FROM assets INDEXED BY assets_by_media
    WHERE user_id = ? AND deleted_at IS NULL AND content_type
"""
_MEDIA_TYPES: Final = f"""
    WITH RECURSIVE kind(prefix, value) AS (
        SELECT value, ({_NEXT_TYPE} >= given.value) FROM json_each(?) AS given
        UNION ALL
        SELECT prefix, ({_NEXT_TYPE} > kind.value) FROM kind
        WHERE substr(value, 1, length(prefix)) = prefix
    )
    SELECT DISTINCT value FROM kind WHERE substr(value, 1, length(prefix)) = prefix
"""
"""The types in use that begin with any of some prefixes: one look into the index for each type."""


class IndexWalk(NamedTuple):
    """One index to walk: the values that its columns have, and the test of each of its rows."""

    by: Index
    keys: Mapping[str, Any]
    hit: Sql


def _walks_of(query: AssetQuery) -> list[IndexWalk]:
    """The narrowest index for live assets, that of the tombstones, or both."""
    fixed = {c.column: c for c in query.conditions if c.column is not None and c.fixed}
    narrowest = next(index for index in INDEXES if set(index.columns) <= set(fixed))
    indexes = [narrowest] if False in query.lives else []
    indexes += [_TOMBSTONES] if True in query.lives else []
    return [_walk_of(query, index, fixed) for index in indexes]


def _walk_of(query: AssetQuery, index: Index, fixed: Mapping[str, Condition]) -> IndexWalk:
    keys = {column: fixed[column].values[0] for column in index.columns}
    covered = [fixed[column] for column in keys]
    rest = [c.sql() for c in query.conditions if c not in covered]
    hit = Sql(
        " AND ".join(text for text, _ in rest) or "true",
        [value for _, parameters in rest for value in parameters],
    )
    return IndexWalk(index, keys, hit)


def _walk(query: AssetQuery) -> tuple[Sql, Sql]:
    """Matches among the next `WALK` rows of an index, or of two, and the row after those."""
    walked = _walked(query, hits=True, limit=WALK)
    text = f"""
        SELECT a.seq AS seq, a.json AS json FROM ({walked.text}) AS walked
        CROSS JOIN assets AS a ON a.seq = walked.seq WHERE walked.hit LIMIT ?
    """
    rows = Sql(text, [*walked.parameters, query.size + 1])
    return rows, _walked(query, hits=False, limit=1, offset=WALK)


def _walked(query: AssetQuery, *, hits: bool, limit: int, offset: int = 0) -> Sql:
    """Rows of the indexes to walk, in one order; with `hits`, the result of the test of each."""
    walks = _walks_of(query)
    if len(walks) == 1:
        return _stretch(query, walks[0], hits, limit, offset)
    lanes = [_stretch(query, walk, hits, limit + offset, 0) for walk in walks]
    both = " UNION ALL ".join(f"SELECT * FROM ({lane.text})" for lane in lanes)
    text = f"{both} ORDER BY seq {query.sort.direction} LIMIT ? OFFSET ?"
    return Sql(text, [*(value for lane in lanes for value in lane.parameters), limit, offset])


def _stretch(query: AssetQuery, walk: IndexWalk, hits: bool, limit: int, offset: int) -> Sql:
    if not hits:
        return _lane(query, walk.by, "seq", walk.keys, limit, offset)
    lane = _lane(query, walk.by, f"seq, {walk.hit.text} AS hit", walk.keys, limit, offset)
    return Sql(lane.text, [*walk.hit.parameters, *lane.parameters])


def breadth_statement(query: AssetQuery) -> Sql:
    """SQL that answers how many rows would have to be sorted, counted to one above the limit."""
    walks = _walks_of(query)
    found = _union([_rows(query, walk.by, "1", walk.keys) for walk in walks])
    return Sql(f"SELECT count(*) FROM ({found.text} LIMIT ?)", [*found.parameters, WALK + 1])


def ordered_statement(query: AssetQuery) -> Sql:
    """SQL that answers one row: what `ordered_page` takes after the query, in its order."""
    found = _found(query, f"seq, {query.sort.column} AS key")
    onwards, start = "", []
    if query.key is not None:
        onwards, start = f" AND (key, seq) {query.sort.onwards} (?, ?)", [query.key, query.start]
    order = f"key {query.sort.direction}, seq {query.sort.direction}"
    text = f"""
        SELECT CAST(group_concat(json, ',\n') AS BLOB),
            json_group_array(json_array(key, seq)), ({_POSITION})
        FROM (
            SELECT page.key AS key, page.seq AS seq, json FROM (
                SELECT key, seq FROM ({found.text}) WHERE hit{onwards} ORDER BY {order} LIMIT ?
            ) AS page CROSS JOIN assets ON assets.seq = page.seq ORDER BY {order}
        )
    """
    return Sql(text, [*found.parameters, *start, query.size + 1])


def ordered_page(query: AssetQuery, json: bytes | None, keys: str, position: int) -> Page:
    """The page in that row."""
    rows: list[tuple[str | int, int]] = orjson.loads(keys)
    if json is None or len(rows) <= query.size:
        return Page(json or b"", len(rows), "", position)
    following = query.next_key_cursor(*rows[-1])
    return Page(json[: json.rindex(b",\n")], query.size, following, position)


def count_statement(query: AssetQuery) -> Sql:
    """SQL that answers how many assets there are on all pages."""
    found = _found(query, "seq")
    return Sql(f"SELECT count(*) FROM ({found.text}) WHERE hit", found.parameters)


def ids_statement(query: AssetQuery) -> Sql:
    """SQL that answers the ids of all assets on all pages, in the order of their creation."""
    found = _found(query, "seq, id")
    return Sql(f"SELECT id FROM ({found.text}) WHERE hit ORDER BY seq", found.parameters)


def _found(query: AssetQuery, columns: str) -> Sql:
    """These columns of all rows to walk, and the result of the test of each."""
    found = []
    for walk in _walks_of(query):
        rows = _rows(query, walk.by, f"{columns}, {walk.hit.text} AS hit", walk.keys)
        found.append(Sql(rows.text, [*walk.hit.parameters, *rows.parameters]))
    return _union(found)


def _union(found: Sequence[Sql]) -> Sql:
    text = " UNION ALL ".join(rows.text for rows in found)
    return Sql(text, [value for rows in found for value in rows.parameters])
