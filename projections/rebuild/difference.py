"""Compare two tables of the same name, in two generations at the same position.

Rows are joined by primary key in SQL, so memory does not grow with the tables. Neither table is
changed.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from asset_ledger.projections.runtime.store import Columns, SideBySide

EXAMPLES: Final = 100
"""How many example rows a table has for each kind of difference. All differences are counted."""

LONGEST: Final = 200
"""How many characters of a value an example shows."""

Change = Literal["added", "removed", "changed"]

_JOINED: Final = """
    FROM {before}."{table}" AS old JOIN {after}."{table}" AS new ON {same_key} WHERE {differ}
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


def difference(both: SideBySide, table: str) -> TableDifference:
    """Return the differences between a table in use and the built one."""
    before, after = both.columns(both.before, table), both.columns(both.after, table)
    if not before.key or before.key != after.key:  # rows cannot be joined
        return _replaced(both, table, before, after)
    shared = [name for name in after.names if name in before.names and name not in after.key]
    joined = _JoinedTables(both, table, after.key, shared)
    counts = joined.changed_columns()
    changed = counts.pop("", 0)
    added, removed = joined.count_only(both.after), joined.count_only(both.before)
    return TableDifference(
        table=table,
        before=_count(both, both.before, table),
        after=_count(both, both.after, table),
        added=added,
        removed=removed,
        changed=changed,
        columns={name: count for name, count in counts.items() if count},
        new_columns=[name for name in after.names if name not in before.names],
        lost_columns=[name for name in before.names if name not in after.names],
        rows=list(joined.examples()) if added or removed or changed else [],
    )


class _JoinedTables:
    """Two tables with the same primary key. Column names come from migrations, not from users."""

    def __init__(
        self, both: SideBySide, table: str, key: Sequence[str], columns: Sequence[str]
    ) -> None:
        self._both, self._table, self._key, self._columns = both, table, key, columns
        self._differ = [f'old."{name}" {both.differs} new."{name}"' for name in columns]
        self._joined = _JOINED.format(
            before=both.before,
            after=both.after,
            table=table,
            same_key=" AND ".join(f'old."{name}" = new."{name}"' for name in key),
            differ=" OR ".join(self._differ) or "false",
        )

    def changed_columns(self) -> dict[str, int]:
        """Return how many rows differ, under `""`, and how many differ in each column."""
        sums = [f"count(*) FILTER (WHERE {differ})" for differ in self._differ]
        (row,) = self._both.db.execute(f"SELECT {', '.join(['count(*)', *sums])} {self._joined}")
        return {name: int(n) for name, n in zip(["", *self._columns], row, strict=True)}

    def count_only(self, one: str) -> int:
        """Return how many rows only the database `one` has."""
        (count,) = self._both.db.execute(f"SELECT count(*) {self._only(one)}").fetchone()
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
        sides: Sequence[tuple[Change, str]]
        sides = (("removed", self._both.before), ("added", self._both.after))
        for change, one in sides:
            for key in self._some(f"SELECT {wanted} {self._only(one)}"):
                yield RowDifference(change, self._named(key), {})

    def _some(self, sql: str) -> list[Any]:
        return self._both.db.execute(f"{sql} LIMIT {EXAMPLES}").fetchall()

    def _only(self, one: str) -> str:
        other = self._both.before if one == self._both.after else self._both.after
        same_key = " AND ".join(f'other."{name}" = one."{name}"' for name in self._key)
        return _ONLY.format(one=one, other=other, table=self._table, same_key=same_key)

    def _named(self, key: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self._key, map(short, key), strict=True))


def _replaced(both: SideBySide, table: str, before: Columns, after: Columns) -> TableDifference:
    """Return the differences of a table that is new, gone, or has another primary key."""
    removed = _count(both, both.before, table) if before.names else 0
    added = _count(both, both.after, table) if after.names else 0
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


def _count(both: SideBySide, schema: str, table: str) -> int:
    (count,) = both.db.execute(f'SELECT count(*) FROM {schema}."{table}"').fetchone()
    return int(count)


def short(value: Any) -> Any:
    """Return a value for display: long text is cut, bytes are hex."""
    if isinstance(value, bytes):
        value = value.hex()
    if isinstance(value, str) and len(value) > LONGEST:
        return value[:LONGEST] + "…"
    return value
