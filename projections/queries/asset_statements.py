"""The SQL of lists of assets: which index a list walks, where it stops, and how it is sorted.

If an index covers the filters, a page reads only its own rows. Otherwise a request reads at most
`WALK` rows of an index, and the page may be short. Lists by name or size sort the rows of the
narrowest index, up to `WALK` of them; longer lists read the catalog, since an index by name or size
would slow down every upload.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.projections.queries.asset_query import AssetQuery, Condition
from asset_ledger.projections.queries.pages import BRIEF, MAX_BYTES, SHORT, Page, fitting

WALK: Final = 20_000
"""How many index rows a request reads if no index covers its filters."""
LANES: Final = 100
"""How many values, or pairs of values, of repeated filters are merged. More use a walk."""


class Index(NamedTuple):
    """An index on `user_id`, `columns` and `seq`, over live rows or over tombstones."""

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
"""The narrowest first: a job has fewer assets than a folder, a node or a workflow."""
_TOMBSTONES: Final = Index("assets_deleted", (), "deleted_at IS NOT NULL")
BY_ID: Final = "sqlite_autoindex_assets_1"
"""The index of the unique ids."""
_COVERING: Final = {frozenset(index.columns): index for index in INDEXES}
_KEY_TESTS: Final = {"id": "{} IN (SELECT value FROM json_each(?))"}
_SIZE: Final = "length(CAST(json AS BLOB)) AS octets"
_POSITION: Final = "SELECT position FROM positions WHERE projection = 'assets'"


class Sql(NamedTuple):
    """A piece of a statement and the parameters of its question marks, in order.

    A `brief` statement reads one short range of an index.
    """

    text: str
    parameters: list[Any]
    brief: bool = False


_START: Final = object()
"""The placeholder, among parameters, of the seq that a page starts at."""


def page_statement(query: AssetQuery) -> Sql:
    """Return the SQL of a page by creation: one row, with the arguments of `page_of`."""
    text, parameters, brief = _statement(query)
    return Sql(text, [query.start if value is _START else value for value in parameters], brief)


@lru_cache(maxsize=1_024)  # all pages of a list share one statement
def _statement(query: AssetQuery) -> Sql:
    rows, edge = _plan(query)
    last = "max" if query.sort.direction == "ASC" else "min"
    source, size = rows.text, "0"
    if query.size > SHORT:
        source = fitting(f"SELECT seq, {_SIZE} FROM ({source})", f"seq {query.sort.direction}")
        size = "max(bytes)"
    text = f"""
        SELECT CAST(group_concat(json, ',\n') AS BLOB), count(*), {last}(seq), {size},
            CASE WHEN count(*) <= ? THEN ({edge.text}) END, ({_POSITION})
        FROM ({source})
    """
    return Sql(text, [query.size, *edge.parameters, *rows.parameters], rows.brief)


def page_of(
    query: AssetQuery,
    json: bytes | None,
    found: int,
    last: int,
    size: int,
    edge: int | None,
    position: int,
) -> Page:
    """Return the page in the row of `page_statement`: `found` assets of `size` bytes, the last at
    seq `last`.

    If there is one asset more than the page holds, it is cut off at the last newline (no JSON has
    newlines), and the next page starts there. Else it starts at the `edge` of a walk, if any.
    """
    if json is None or (found <= query.size and size <= MAX_BYTES):
        return Page(json or b"", found, query.next_cursor(edge), position, is_exact=True)
    shown = json[: json.rindex(b",\n")]
    return Page(shown, found - 1, query.next_cursor(last), position, is_exact=True)


def _plan(query: AssetQuery) -> tuple[Sql, Sql]:
    """Return SQL of the rows of a page and one more, and SQL of the seq at which a walk stops."""
    by_column = {c.column: c for c in query.conditions if c.column is not None}
    index = _COVERING.get(frozenset(by_column)) if True not in query.deleted_states else None
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
    """Return SQL of rows with given values in an index, in its order: one range of it."""
    rows = _rows(query, index, columns, keys)
    text = f"""{rows.text} AND seq {query.sort.onwards} ?
        ORDER BY seq {query.sort.direction} LIMIT ? OFFSET ?
    """
    return Sql(text, [*rows.parameters, _START, limit, offset])


def _rows(query: AssetQuery, index: Index, columns: str, keys: Mapping[str, Any]) -> Sql:
    """Return SQL of all rows with given values in an index."""
    tests = "".join(
        f" AND {column} IS NULL"
        if value is None
        else f" AND {_KEY_TESTS.get(column, '{} = ?').format(column)}"
        for column, value in keys.items()
    )
    text = f"""
        SELECT {columns} FROM assets INDEXED BY {index.name}
        WHERE user_id = ?{tests} AND {index.rows}"""
    return Sql(text, [query.user_id, *(key for key in keys.values() if key is not None)])


def _merged(query: AssetQuery, index: Index, by_column: Mapping[str, Condition]) -> Sql:
    """Return SQL that reads the first rows of each lane and merges them.

    `json_each` may refer to the lanes on its left, where a subquery may not.
    """
    lanes = [_lane_values(query, by_column[column]) for column in index.columns]
    keys = "".join(f" AND {column} IS lane{n}.value" for n, column in enumerate(index.columns))
    sources = ", ".join(f"({lane.text}) AS lane{n}" for n, lane in enumerate(lanes))
    direction, limit = query.sort.direction, query.size + 1
    text = f"""
        SELECT a.seq AS seq, a.json AS json FROM (
            SELECT CAST(first.value AS INTEGER) AS seq FROM {sources}, json_each((
                SELECT json_group_array(seq) FROM (
                    SELECT seq FROM assets INDEXED BY {index.name}
                    WHERE user_id = ?{keys} AND {index.rows} AND seq {query.sort.onwards} ?
                    ORDER BY seq {direction} LIMIT ?
                )
            )) AS first ORDER BY 1 {direction} LIMIT ?
        ) AS merged CROSS JOIN assets AS a ON a.seq = merged.seq
    """
    values = [parameter for lane in lanes for parameter in lane.parameters]
    return Sql(text, [*values, query.user_id, _START, limit, limit])


def _lane_values(query: AssetQuery, condition: Condition) -> Sql:
    values = orjson.dumps(condition.values).decode()
    if condition.any_of[0].operator == "equal":
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
"""The content types in use that begin with given prefixes: one index lookup for each type."""


class IndexWalk(NamedTuple):
    """An index to walk, the values of its columns, and the remaining test of each row."""

    source: Index
    keys: Mapping[str, Any]
    test: Sql


def _walks_of(query: AssetQuery) -> list[IndexWalk]:
    """Return the walks: the narrowest index of live assets, that of tombstones, or both."""
    for condition in query.conditions:
        if condition.column == "id":
            return [_walk_of_ids(query, condition)]
    fixed = {c.column: c for c in query.conditions if c.column is not None and c.fixed}
    narrowest = next(index for index in INDEXES if set(index.columns) <= set(fixed))
    indexes = [narrowest] if False in query.deleted_states else []
    indexes += [_TOMBSTONES] if True in query.deleted_states else []
    return [_walk_of(query, index, fixed) for index in indexes]


def _walk_of(query: AssetQuery, index: Index, fixed: Mapping[str, Condition]) -> IndexWalk:
    keys = {column: fixed[column].values[0] for column in index.columns}
    covered = [fixed[column] for column in keys]
    return IndexWalk(index, keys, _all_of(c for c in query.conditions if c not in covered))


def _walk_of_ids(query: AssetQuery, ids: Condition) -> IndexWalk:
    """Return the walk over the assets with given ids, live ones or tombstones as asked for."""
    alive, both = "deleted_at IS NULL", query.deleted_states == {True, False}
    rows = "true" if both else alive if False in query.deleted_states else f"NOT ({alive})"
    keys = {"id": orjson.dumps(ids.values).decode()}
    return IndexWalk(Index(BY_ID, ("id",), rows), keys, _all_of(query.conditions))


def _all_of(conditions: Iterable[Condition]) -> Sql:
    tests = [condition.sql() for condition in conditions]
    text = " AND ".join(text for text, _ in tests) or "true"
    return Sql(text, [value for _, parameters in tests for value in parameters])


def _walk(query: AssetQuery) -> tuple[Sql, Sql]:
    """Return SQL of the matches in the next `WALK` rows, and SQL of the seq after those rows."""
    walked = _walked(query, hits=True, limit=WALK)
    text = f"""
        SELECT a.seq AS seq, a.json AS json FROM ({walked.text}) AS walked
        CROSS JOIN assets AS a ON a.seq = walked.seq WHERE walked.hit LIMIT ?
    """
    rows = Sql(text, [*walked.parameters, query.size + 1])
    return rows, _walked(query, hits=False, limit=1, offset=WALK)


def newest_statement(query: AssetQuery) -> Sql:
    """Return SQL of the next `WALK` rows: their `seq`, and whether they are a `hit`."""
    walked = _walked(query, hits=True, limit=WALK)
    values = [query.start if value is _START else value for value in walked.parameters]
    return Sql(walked.text, values)


def _walked(query: AssetQuery, *, hits: bool, limit: int, offset: int = 0) -> Sql:
    """Return SQL of the rows to walk, in order; with `hits`, with the result of their tests."""
    walks = _walks_of(query)
    if len(walks) == 1:
        return _walk_lane(query, walks[0], hits, limit, offset)
    lanes = [_walk_lane(query, walk, hits, limit + offset, 0) for walk in walks]
    both = " UNION ALL ".join(f"SELECT * FROM ({lane.text})" for lane in lanes)
    text = f"{both} ORDER BY seq {query.sort.direction} LIMIT ? OFFSET ?"
    return Sql(text, [*(value for lane in lanes for value in lane.parameters), limit, offset])


def _walk_lane(query: AssetQuery, walk: IndexWalk, hits: bool, limit: int, offset: int) -> Sql:
    if not hits:
        return _lane(query, walk.source, "seq", walk.keys, limit, offset)
    lane = _lane(query, walk.source, f"seq, {walk.test.text} AS hit", walk.keys, limit, offset)
    return Sql(lane.text, [*walk.test.parameters, *lane.parameters])


def breadth_statement(query: AssetQuery) -> Sql:
    """Return SQL that counts the rows to sort, up to `WALK + 1`."""
    walks = _walks_of(query)
    found = _union([_rows(query, walk.source, "1", walk.keys) for walk in walks])
    return Sql(f"SELECT count(*) FROM ({found.text} LIMIT ?)", [*found.parameters, WALK + 1])


def ordered_statement(query: AssetQuery, among: Sequence[int] | None = None) -> Sql:
    """Return the SQL of a page by a column: one row, with the arguments of `ordered_page`.

    The page is of these rows of `among`, if given; then it may also be by creation.
    """
    columns = f"seq, {query.sort.column or 'seq'} AS key"
    found = _found(query, columns) if among is None else _found_among(query, columns, among)
    onwards, start = "", []
    if query.key is not None:
        onwards, start = f" AND (key, seq) {query.sort.onwards} (?, ?)", [query.key, query.start]
    order = f"key {query.sort.direction}, seq {query.sort.direction}"
    chosen = f"SELECT key, seq FROM ({found.text}) WHERE hit{onwards} ORDER BY {order} LIMIT ?"
    sized = f"""
        SELECT chosen.key AS key, chosen.seq AS seq, {_SIZE}
        FROM ({chosen}) AS chosen CROSS JOIN assets ON assets.seq = chosen.seq
    """
    text = f"""
        SELECT CAST(group_concat(json, ',\n') AS BLOB),
            coalesce(json_group_array(json_array(key, seq)), '[]'), max(bytes), ({_POSITION})
        FROM ({fitting(sized, order)})
    """
    return Sql(text, [*found.parameters, *start, query.size + 1])


def ordered_page(
    query: AssetQuery, json: bytes | None, keys: str, size: int, position: int
) -> Page:
    """Return the page in the row of `ordered_statement`."""
    rows: list[tuple[str | int, int]] = orjson.loads(keys)
    if json is None or (len(rows) <= query.size and size <= MAX_BYTES):
        return Page(json or b"", len(rows), "", position)
    following = query.cursor_at(*rows[-1])
    return Page(json[: json.rindex(b",\n")], len(rows) - 1, following, position)


def count_statement(query: AssetQuery, among: Sequence[int] | None = None) -> Sql:
    """Return SQL that counts the assets on all pages, or those of `among`."""
    found = _found(query, "seq") if among is None else _found_among(query, "seq", among)
    return Sql(f"SELECT count(*) FROM ({found.text}) WHERE hit", found.parameters)


def ids_statement(query: AssetQuery, column: str = "id") -> Sql:
    """Return SQL of the ids of the assets on all pages, in the order of creation."""
    found = _found(query, "seq, id")
    return Sql(f"SELECT {column} FROM ({found.text}) WHERE hit ORDER BY seq", found.parameters)


def _found(query: AssetQuery, columns: str) -> Sql:
    """Return SQL of given columns of all rows to walk, with the results of their tests."""
    found = []
    for walk in _walks_of(query):
        rows = _rows(query, walk.source, f"{columns}, {walk.test.text} AS hit", walk.keys)
        found.append(Sql(rows.text, [*walk.test.parameters, *rows.parameters]))
    return _union(found)


def _found_among(query: AssetQuery, columns: str, among: Sequence[int]) -> Sql:
    """Return SQL likewise of the live rows of `among`."""
    tests, values = tests_of(query)
    text = f"""
        SELECT {columns}, true{tests} AS hit FROM json_each(?) AS given
        CROSS JOIN assets ON seq = CAST(given.value AS INTEGER)
        WHERE user_id = ? AND deleted_at IS NULL"""
    return Sql(text, [*values, orjson.dumps(among).decode(), query.user_id])


def tests_of(query: AssetQuery) -> tuple[str, list[Any]]:
    """Return ` AND <test>` of each condition, and their parameters."""
    conditions = [condition.sql() for condition in query.conditions]
    tests = "".join(f" AND {text}" for text, _ in conditions)
    return tests, [value for _, parameters in conditions for value in parameters]


def _union(found: Sequence[Sql]) -> Sql:
    text = " UNION ALL ".join(rows.text for rows in found)
    return Sql(text, [value for rows in found for value in rows.parameters])
