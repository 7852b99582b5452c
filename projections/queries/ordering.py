"""Pages in the order of a name or a size, and how many assets, or which, a whole list has.

No index of the tables is in such an order, since every upload would pay for it. So what the
narrowest index finds is sorted, as long as it is no more than a request may look at; the catalog
has the order of more.
"""

from typing import Any, Final

import orjson

from asset_ledger.projections.queries.listing import WALK, Run, Sql, runs_of
from asset_ledger.projections.queries.pages import Page, Query

_POSITION: Final = "SELECT position FROM positions WHERE projection = 'assets'"


def breadth_statement(query: Query) -> Sql:
    """SQL that answers how many rows would have to be sorted, counted to one above the limit."""
    runs = [_stretch(query, run, "1", hits=False) for run in runs_of(query)]
    text = " UNION ALL ".join(run.text for run in runs)
    given = [value for run in runs for value in run.parameters]
    return Sql(f"SELECT count(*) FROM ({text} LIMIT ?)", [*given, WALK + 1])


def ordered_statement(query: Query) -> Sql:
    """SQL that answers one row: what `ordered_page` takes after the query, in its order."""
    found = _found(query, f"seq, {query.sort.column} AS key")
    onwards, start = _onwards(query)
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


def ordered_page(query: Query, json: bytes | None, keys: str, position: int) -> Page:
    """The page in that row."""
    rows: list[tuple[str | int, int]] = orjson.loads(keys)
    if json is None or len(rows) <= query.size:
        return Page(json or b"", len(rows), "", position)
    following = query.next_key_cursor(*rows[-1])
    return Page(json[: json.rindex(b",\n")], query.size, following, position)


def count_statement(query: Query) -> Sql:
    """SQL that answers how many assets there are on all pages."""
    found = _found(query, "seq")
    return Sql(f"SELECT count(*) FROM ({found.text}) WHERE hit", found.parameters)


def ids_statement(query: Query) -> Sql:
    """SQL that answers the ids of all assets on all pages, in the order of their creation."""
    found = _found(query, "seq, id")
    return Sql(f"SELECT id FROM ({found.text}) WHERE hit ORDER BY seq", found.parameters)


def _onwards(query: Query) -> tuple[str, list[Any]]:
    if query.key is None:
        return "", []
    return f" AND (key, seq) {query.sort.onwards} (?, ?)", [query.key, query.start]


def _found(query: Query, columns: str) -> Sql:
    """These columns of what the narrowest index finds, and whether each row is looked for."""
    runs = [_stretch(query, run, columns) for run in runs_of(query)]
    text = " UNION ALL ".join(run.text for run in runs)
    return Sql(text, [value for run in runs for value in run.parameters])


def _stretch(query: Query, run: Run, columns: str, *, hits: bool = True) -> Sql:
    tests = "".join(f" AND {column} IS ?" for column in run.keys)
    hit = f", {run.hit.text} AS hit" if hits else ""
    text = f"""
        SELECT {columns}{hit} FROM assets INDEXED BY {run.by.name}
        WHERE user_id = ?{tests} AND {run.by.rows}
    """
    given = run.hit.parameters if hits else []
    return Sql(text, [*given, query.user_id, *run.keys.values()])
