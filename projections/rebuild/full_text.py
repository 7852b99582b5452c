"""Compare the entries of two full-text indexes (FTS5), and check the structure of one.

The file in use is only read. SQLite's check of an index is an INSERT, so it runs on a copy.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.rebuild.difference import (
    EXAMPLES,
    Change,
    RowDifference,
    TableDifference,
    short,
)
from asset_ledger.projections.runtime.table_files import columns_of

_ENTRY: Final = ("term", "doc", "col", "offset")
_OPEN: Final = """
    CREATE VIRTUAL TABLE temp.entries_{schema} USING fts5vocab({schema}, "{table}", instance)
"""
_COUNT: Final = "SELECT count(*) FROM temp.entries_{schema}"
_ONLY: Final = "(SELECT * FROM temp.entries_{one} EXCEPT SELECT * FROM temp.entries_{other})"
_TERMS: Final = 'CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, "{table}", row)'
_NOT_FOUND: Final = """
    SELECT term FROM terms AS each
    WHERE (SELECT cnt FROM terms WHERE term = each.term) IS NOT each.cnt
"""
_CHECK: Final = 'INSERT INTO "{table}" ("{table}") VALUES (\'integrity-check\')'


def index_difference(db: SqlConnection, table: str) -> TableDifference:
    """Return the differences between an index of `main` and that of the attached database `next`.

    Each entry counts as a row: a term, the rowid of the document, the column, and the offset in it.
    If only one database has the index, its columns are new or lost.
    """
    old, new = (columns_of(db, schema, table).names for schema in ("main", "next"))
    if not old or not new:
        return TableDifference(table, 0, 0, 0, 0, 0, {}, new_columns=new, lost_columns=old, rows=[])
    before, after = _open(db, "main", table), _open(db, "next", table)
    removed, removed_rows = _only(db, "removed", "main", "next")
    added, added_rows = 0, list[RowDifference]()
    if before - removed != after:  # else the common entries are all of `next`: entries are distinct
        added, added_rows = _only(db, "added", "next", "main")
    for schema in ("main", "next"):
        db.execute(f"DROP TABLE temp.entries_{schema}")
    rows = removed_rows + added_rows
    return TableDifference(table, before, after, added, removed, 0, {}, [], [], rows)


def _open(db: SqlConnection, schema: str, table: str) -> int:
    """Make the entries of an index readable as a table; return how many there are."""
    db.execute(_OPEN.format(schema=schema, table=table))
    (count,) = db.execute(_COUNT.format(schema=schema)).fetchone()
    return int(count)


def _only(
    db: SqlConnection, change: Change, one: str, other: str
) -> tuple[int, list[RowDifference]]:
    """Return how many entries only `one` has, and examples of them."""
    only = _ONLY.format(one=one, other=other)
    (count,) = db.execute(f"SELECT count(*) FROM {only}").fetchone()
    if not count:
        return 0, []
    rows = db.execute(f"SELECT * FROM {only} ORDER BY doc, term LIMIT {EXAMPLES}").fetchall()
    keys = [dict(zip(_ENTRY, map(short, row), strict=True)) for row in rows]
    return int(count), [
        RowDifference(change, {name: value for name, value in key.items() if value is not None}, {})
        for key in keys
    ]


def check_index(copy: sqlite3.Connection, table: str) -> Iterator[str]:
    """Run SQLite's check of an index in a copy of its file, then look up each term.

    SQLite's check misses terms that are absent from the lookup table `<index>_idx`.
    """
    try:
        copy.execute(_CHECK.format(table=table))
        copy.execute(_TERMS.format(table=table))
        lost = copy.execute(_NOT_FOUND).fetchmany(EXAMPLES)
        copy.execute("DROP TABLE temp.terms")
        yield from (f"a search does not find all of the term {short(term)}" for (term,) in lost)
    except sqlite3.DatabaseError as error:
        yield str(error)
