"""Pages in the order of a name or a size, and how many assets a list has.

What the narrowest index finds is sorted, as long as it is no more than a request may look at: no
index of the tables is in such an order, since every upload would pay for it.
"""

from typing import Any, Final

import orjson

from ledger.errors import ParameterError
from projections.listing import WALK, Run, Sql, runs_of
from projections.pages import Page, Query

_POSITION: Final = "SELECT position FROM positions WHERE projection = 'assets'"


def ordered_statement(query: Query) -> Sql:
    """SQL that answers one row: what `ordered_page` takes after the query, in its order."""
    found = _found(query, f"seq, {query.sort.column} AS key", limit=WALK + 1)
    onwards, start = _onwards(query)
    order = f"key {query.sort.direction}, seq {query.sort.direction}"
    text = f"""
        WITH found AS MATERIALIZED ({found.text})
        SELECT CAST(group_concat(json, ',' || char(10)) AS BLOB),
            json_group_array(json_array(key, seq)), (SELECT count(*) FROM found), ({_POSITION})
        FROM (
            SELECT page.key AS key, page.seq AS seq, json
            FROM (SELECT key, seq FROM found WHERE hit{onwards} ORDER BY {order} LIMIT ?) AS page
            CROSS JOIN assets ON assets.seq = page.seq ORDER BY {order}
        )
    """
    return Sql(text, [*found.parameters, *start, query.size + 1])


def ordered_page(query: Query, json: bytes | None, keys: str, looked_at: int, at: int) -> Page:
    """The page in that row. Raises ParameterError where there was too much to sort."""
    if looked_at > WALK:
        message = f"by {query.sort.column} takes filters that leave {WALK:,} assets at most"
        raise ParameterError(f"sort {message}", errors=[("sort", message)])
    rows: list[tuple[str | int, int]] = orjson.loads(keys)
    if json is None or len(rows) <= query.size:
        return Page(json or b"", len(rows), "", at)
    following = query.next_key_cursor(*rows[-1])
    return Page(json[: json.rindex(b",\n")], query.size, following, at)


def count_statement(query: Query) -> Sql:
    """SQL that answers how many assets there are on all pages."""
    found = _found(query, "seq")
    return Sql(f"SELECT count(*) FROM ({found.text}) WHERE hit", found.parameters)


def _onwards(query: Query) -> tuple[str, list[Any]]:
    if query.key is None:
        return "", []
    return f" AND (key, seq) {query.sort.onwards} (?, ?)", [query.key, query.start]


def _found(query: Query, columns: str, limit: int = -1) -> Sql:
    """These columns of what the narrowest index finds, and whether each row is looked for."""
    runs = [_stretch(query, run, columns) for run in runs_of(query)]
    text = " UNION ALL ".join(run.text for run in runs)
    return Sql(f"{text} LIMIT ?", [*(value for run in runs for value in run.parameters), limit])


def _stretch(query: Query, run: Run, columns: str) -> Sql:
    tests = "".join(f" AND {column} IS ?" for column in run.keys)
    text = f"""
        SELECT {columns}, {run.hit.text} AS hit FROM assets INDEXED BY {run.by.name}
        WHERE user_id = ?{tests} AND {run.by.rows}
    """
    return Sql(text, [*run.hit.parameters, query.user_id, *run.keys.values()])
