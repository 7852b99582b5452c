"""Compare the generation in use with a built one, file by file.

The built file is brought to the position of a read snapshot of the file in use.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.rebuild.difference import TableDifference, difference
from asset_ledger.projections.rebuild.full_text import index_difference
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.store import SideBySide, TableStore

Reach = Callable[[int], bool]
"""Brings the built file to a position. Returns False if the file is beyond it."""

_POSITIONS: Final = "SELECT projection, position, log_id, leaf FROM positions"
_STATE: Final = "SELECT state FROM generation"


class FileComparison(NamedTuple):
    """The differences between a file in use and the built file, both at `position`.

    `incomparable`: the reason why they could not be compared; `tables` is empty then.
    """

    file: str
    position: int
    tables: Sequence[TableDifference]
    incomparable: str | None = None


@dataclass(slots=True)
class GenerationComparison:
    """The differences between the generations `before` and `after`, by file."""

    before: int
    after: int
    files: list[FileComparison] = field(default_factory=list)

    @property
    def position(self) -> int:
        """The highest position at which a file was compared."""
        return max((each.position for each in self.files), default=0)

    @property
    def tables(self) -> list[TableDifference]:
        """The tables of all files."""
        return [table for each in self.files for table in each.tables]

    @property
    def reasons(self) -> list[str]:
        """Why files could not be compared, one line each."""
        return [f"{each.file}: {each.incomparable}" for each in self.files if each.incomparable]

    @property
    def rows(self) -> int:
        """How many rows were added, removed and changed, in all tables."""
        return sum(each.differing for each in self.tables)

    @property
    def differs(self) -> bool:
        """Whether any table differs, in its rows or its columns."""
        return any(table.differs for table in self.tables)

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        tables = [{**table._asdict(), "rows": _rows(table)} for table in self.tables]
        return {
            "generations": {"before": self.before, "after": self.after},
            "position": self.position,
            "differences": self.rows,
            "tables": tables,
            "incomparable": self.reasons,
        }


class _IncomparableError(Exception):
    """The file in use has no position that the built file can be brought to."""


def compare_part(
    store: TableStore, number: int, built: Runner, reach: Reach, *, with_indexes: bool = False
) -> FileComparison:
    """Compare the tables of a part in use, of generation `number`, with those of the built one.

    `with_indexes`: compare the entries of full-text indexes too, which takes as long as all tables
    together. Raises as `reach` does.
    """
    name = store.name(number, built.database.part)
    try:
        with store.comparing(number, built.database.part, built.database) as both:
            _align(both.db, built, reach)  # first: a long snapshot keeps the WAL from shrinking
            both.begin()
            position = _align(both.db, built, reach)
            differences = list(_table_differences(both, built))
            differences += _index_differences(both) if with_indexes else ()
            return FileComparison(name, position, differences)
    except store.errors as error:
        return FileComparison(name, 0, [], f"its rows could not be read: {error}")
    except _IncomparableError as error:
        return FileComparison(name, 0, [], str(error))


def position_of(store: TableStore, number: int, built: Runner) -> int | None:
    """Return the position of a part in use; None if it cannot be compared."""
    known: tuple[type[Exception], ...] = (*store.errors, _IncomparableError)
    try:
        with store.reading(number, built.database.part) as db:
            return _position(db, built.database.projections, built.feed)
    except known:
        return None


def _align(db: SqlConnection, built: Runner, reach: Reach) -> int:
    position = _position(db, built.database.projections, built.feed)
    if not reach(position):
        raise _IncomparableError(f"is at position {position:,} only")
    return position


def _position(db: SqlConnection, projections: Sequence[Projection], feed: Feed) -> int:
    if db.execute(_STATE).fetchall() == [("filling",)]:
        raise _IncomparableError("was not filled to its end")
    rows = db.execute(_POSITIONS).fetchall()
    positions = {row[1:] for row in rows}
    if len(positions) != 1:
        raise _IncomparableError("its projections are at different positions")
    ((position, log_id, leaf),) = positions
    if position and (log_id, leaf) != (feed.log_id, feed.leaf_hash(position)):
        raise _IncomparableError(f"is at an event {position:,} that this log does not have")
    return int(position)


def _table_differences(both: SideBySide, built: Runner) -> Iterator[TableDifference]:
    """Yield the differences of the tables that the digest covers, then of the others by name."""
    before, after = both.tables(both.before), both.tables(both.after)
    first = [table for table in built.database.tables if table in after]
    for table in [*first, *sorted((before | after) - set(first))]:
        yield difference(both, table)


def _index_differences(both: SideBySide) -> Iterator[TableDifference]:
    for table in sorted(both.text_indexes(both.before) | both.text_indexes(both.after)):
        yield index_difference(both.db, table)


def _rows(table: TableDifference) -> list[dict[str, Any]]:
    """Return the example rows as JSON values: each differing column before and after."""
    return [
        {
            "change": row.change,
            "key": row.key,
            "columns": {
                name: {"before": before, "after": after}
                for name, (before, after) in row.columns.items()
            },
        }
        for row in table.rows
    ]
