"""Compare two tables of the same name, in two generations at the same position.

Rows are joined by primary key in SQL, so memory does not grow with the tables. Neither table is
changed.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

EXAMPLES: Final = 100
"""How many example rows a table has for each kind of difference. All differences are counted."""

LONGEST: Final = 200
"""How many characters of a value an example shows."""

Change = Literal["added", "removed", "changed"]

_ONE_SIDED: Final[Sequence[tuple[Change, str]]] = (("removed", "main"), ("added", "next"))

_JOINED: Final = """
    FROM main."{table}" AS old JOIN next."{table}" AS new ON {same_key} WHERE {differ}
"""
_ONLY: Final = """
    FROM {one}."{table}" AS one
    WHERE NOT EXISTS (SELECT 1 FROM {other}."{table}" AS other WHERE {same_key})
"""


class RowDifference(NamedTuple):
    """One row that differs: its key, and the values before and after of each differing column."""

    change: Change
    key: dict[str, Any]
    columns: dict[str, tuple[Any, Any]]


class TableDifference(NamedTuple):
    """One table: its row counts before and after, and how many rows were added, removed, changed.

    `columns`: in how many changed rows each column differs. `rows`: examples of all differences.
    `new_columns` and `lost_columns`: the columns that only one of the two generations has.
    """

    table: str
    before: int
    after: int
    added: int
    removed: int
    changed: int
    columns: dict[str, int]
    new_columns: list[str]
    lost_columns: list[str]
    rows: list[RowDifference]

    @property
    def differing(self) -> int:
        """How many rows differ."""
        return self.added + self.removed + self.changed

    @property
    def differs(self) -> bool:
        """Whether rows or columns differ."""
        return bool(self.differing or self.new_columns or self.lost_columns)


class Columns(NamedTuple):
    """The columns of a table, and those of its primary key."""

    names: list[str]
    key: list[str]


def difference(db: sqlite3.Connection, table: str) -> TableDifference:
    """Return the differences between a table of `main` and that of the attached database `next`."""
    before, after = columns_of(db, "main", table), columns_of(db, "next", table)
    if not before.key or before.key != after.key:  # rows cannot be joined
        return _replaced(db, table, before, after)
    shared = [name for name in after.names if name in before.names and name not in after.key]
    joined = _JoinedTables(db, table, after.key, shared)
    counts = joined.changed_columns()
    changed = counts.pop("", 0)
    added, removed = joined.count_only("next"), joined.count_only("main")
    return TableDifference(
        table=table,
        before=_count(db, "main", table),
        after=_count(db, "next", table),
        added=added,
        removed=removed,
        changed=changed,
        columns={name: count for name, count in counts.items() if count},
        new_columns=[name for name in after.names if name not in before.names],
        lost_columns=[name for name in before.names if name not in after.names],
        rows=list(joined.examples()) if added or removed or changed else [],
    )


def columns_of(db: sqlite3.Connection, schema: str, table: str) -> Columns:
    """Return the columns of a table; no columns if there is no such table."""
    info = db.execute(f'PRAGMA {schema}.table_info("{table}")').fetchall()
    ranked = sorted((rank, name) for _, name, *_, rank in info if rank)
    return Columns([name for _, name, *_ in info], [name for _, name in ranked])


class _JoinedTables:
    """Two tables with the same primary key. Column names come from migrations, not from users."""

    def __init__(
        self, db: sqlite3.Connection, table: str, key: Sequence[str], columns: Sequence[str]
    ) -> None:
        self._db, self._table, self._key, self._columns = db, table, key, columns
        self._joined = _JOINED.format(
            table=table,
            same_key=" AND ".join(f'old."{name}" = new."{name}"' for name in key),
            differ=" OR ".join(f'old."{name}" IS NOT new."{name}"' for name in columns) or "false",
        )

    def changed_columns(self) -> dict[str, int]:
        """Return how many rows differ, under `""`, and how many differ in each column."""
        sums = [f'total(old."{name}" IS NOT new."{name}")' for name in self._columns]
        (row,) = self._db.execute(f"SELECT {', '.join(['count(*)', *sums])} {self._joined}")
        return {name: int(n) for name, n in zip(["", *self._columns], row, strict=True)}

    def count_only(self, one: str) -> int:
        """Return how many rows only the database `one` has."""
        (count,) = self._db.execute(f"SELECT count(*) {self._only(one)}").fetchone()
        return int(count)

    def examples(self) -> Iterator[RowDifference]:
        """Yield the first rows of each kind of difference."""
        changed = [f'old."{name}", new."{name}"' for name in self._columns]
        wanted = ", ".join([*(f'new."{name}"' for name in self._key), *changed])
        for row in self._some(f"SELECT {wanted} {self._joined}"):
            key, values = row[: len(self._key)], row[len(self._key) :]
            pairs = zip(self._columns, values[::2], values[1::2], strict=True)
            differing = {name: (short(a), short(b)) for name, a, b in pairs if a != b}
            yield RowDifference("changed", self._named(key), differing)
        wanted = ", ".join(f'one."{name}"' for name in self._key)
        for change, one in _ONE_SIDED:
            for key in self._some(f"SELECT {wanted} {self._only(one)}"):
                yield RowDifference(change, self._named(key), {})

    def _some(self, sql: str) -> list[Any]:
        return self._db.execute(f"{sql} LIMIT {EXAMPLES}").fetchall()

    def _only(self, one: str) -> str:
        other = "main" if one == "next" else "next"
        same_key = " AND ".join(f'other."{name}" = one."{name}"' for name in self._key)
        return _ONLY.format(one=one, other=other, table=self._table, same_key=same_key)

    def _named(self, key: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self._key, map(short, key), strict=True))


def _replaced(
    db: sqlite3.Connection, table: str, before: Columns, after: Columns
) -> TableDifference:
    """Return the differences of a table that is new, gone, or has another primary key."""
    removed = _count(db, "main", table) if before.names else 0
    added = _count(db, "next", table) if after.names else 0
    return TableDifference(
        table=table,
        before=removed,
        after=added,
        added=added,
        removed=removed,
        changed=0,
        columns={},
        new_columns=[name for name in after.names if name not in before.names],
        lost_columns=[name for name in before.names if name not in after.names],
        rows=[],
    )


def _count(db: sqlite3.Connection, schema: str, table: str) -> int:
    (count,) = db.execute(f'SELECT count(*) FROM {schema}."{table}"').fetchone()
    return int(count)


def short(value: Any) -> Any:
    """Return a value for display: long text is cut, bytes are hex."""
    if isinstance(value, bytes):
        value = value.hex()
    if isinstance(value, str) and len(value) > LONGEST:
        return value[:LONGEST] + "…"
    return value
