"""Comparing the generation in use with the one that is built: file by file, each pair at the
position of a snapshot of the file in use, which is only read.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.sqlite import open_reader, read_only, spell_out
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.rebuild.difference import TableDifference, difference
from asset_ledger.projections.rebuild.full_text import index_difference
from asset_ledger.projections.runtime.database import BOOKKEEPING
from asset_ledger.projections.runtime.runner import Runner

Reach = Callable[[int], bool]
"""Brings the built file to a position; False where it is beyond that already."""

_POSITIONS: Final = "SELECT projection, position, log_id, leaf FROM main.positions"
_STATE: Final = "SELECT state FROM main.generation"

_SHADOWS: Final = ("_content", "_docsize")
"""Endings of the tables behind a full-text index whose rows depend on the documents alone. The
others hold its entries in a form that depends on when they were written."""


class FileComparison(NamedTuple):
    """One file in use, and how its tables differ from those that were built, both at `position`.

    `incomparable`: why the two could not be compared; then there are no tables.
    """

    file: str
    position: int
    tables: Sequence[TableDifference]
    incomparable: str | None = None


@dataclass(slots=True)
class GenerationComparison:
    """How the tables of generation `after` differ from those of `before`, by file."""

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
        """As JSON."""
        tables = [{**table._asdict(), "rows": _rows(table)} for table in self.tables]
        return {
            "generations": {"before": self.before, "after": self.after},
            "position": self.position,
            "differences": self.rows,
            "tables": tables,
            "incomparable": self.reasons,
        }


class _IncomparableError(Exception):
    """The file in use is at no position that the built one could be brought to."""


def compare_file(
    path: Path, built: Runner, reach: Reach, *, with_indexes: bool = False
) -> FileComparison:
    """Compare the tables of a file in use with those of the built one.

    `with_indexes`: the entries of full-text indexes too, which costs as much as all tables
    together. Raises what `reach` does.
    """
    try:
        with closing(open_reader(path)) as db:
            db.text_factory = spell_out
            db.execute("PRAGMA query_only=OFF")  # else no name in `temp`; files stay read-only
            db.execute("ATTACH ? AS next", (read_only(built.database.path),))
            _meet(db, built, reach)  # most of the way: the snapshot keeps the WAL from shrinking
            db.execute("BEGIN")
            position = _meet(db, built, reach)
            differences = list(_table_differences(db, built))
            differences += _index_differences(db) if with_indexes else ()
            return FileComparison(path.name, position, differences)
    except (sqlite3.DatabaseError, _IncomparableError) as error:
        return FileComparison(path.name, 0, [], str(error))


def stands_at(path: Path, built: Runner) -> int | None:
    """Return the position of a file in use; None where it cannot be compared at any."""
    try:
        with closing(open_reader(path)) as db:
            return _position(db, built.database.projections, built.feed)
    except (sqlite3.DatabaseError, _IncomparableError):
        return None


def _meet(db: sqlite3.Connection, built: Runner, reach: Reach) -> int:
    position = _position(db, built.database.projections, built.feed)
    if not reach(position):
        raise _IncomparableError(f"stands at {position:,} only")
    return position


def _position(db: sqlite3.Connection, projections: Sequence[Projection], feed: Feed) -> int:
    if db.execute(_STATE).fetchall() == [("filling",)]:
        raise _IncomparableError("was not filled to its end")
    rows = db.execute(_POSITIONS).fetchall()
    stands = {row[1:] for row in rows}
    if len(stands) != 1:
        raise _IncomparableError("its projections stand at different positions")
    ((position, log_id, leaf),) = stands
    if position and (log_id, leaf) != (feed.log_id, feed.leaf_hash(position)):
        raise _IncomparableError(f"stands at an event {position:,} that this log does not have")
    return int(position)


def _table_differences(db: sqlite3.Connection, built: Runner) -> Iterator[TableDifference]:
    """Compare every table: first those that the digest covers, then the others by name."""
    before, after = _tables(db, "main"), _tables(db, "next")
    first = [table for table in built.database.tables if table in after]
    for table in [*first, *sorted((before | after) - set(first))]:
        yield difference(db, table)


def _index_differences(db: sqlite3.Connection) -> Iterator[TableDifference]:
    for table in sorted(full_text_indexes(db, "main") | full_text_indexes(db, "next")):
        yield index_difference(db, table)


def _tables(db: sqlite3.Connection, schema: str) -> set[str]:
    """The tables whose rows depend on the events alone."""
    listed = db.execute(f"PRAGMA {schema}.table_list").fetchall()
    return {
        name
        for _, name, kind, *_ in listed
        if name not in BOOKKEEPING
        and not name.startswith("sqlite_")
        and (kind == "table" or (kind == "shadow" and name.endswith(_SHADOWS)))
    }


def full_text_indexes(db: sqlite3.Connection, schema: str = "main") -> set[str]:
    """The full-text indexes of a file."""
    listed = db.execute(f"PRAGMA {schema}.table_list").fetchall()
    return {name for _, name, kind, *_ in listed if kind == "virtual"}


def _rows(table: TableDifference) -> list[dict[str, Any]]:
    """The rows that are shown, each differing column with its value before and after."""
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
