"""A generation that is being built, held against the one in use: file by file, each pair at one
position, the one at which a snapshot of the file in use stands.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.sqlite import open_reader, read_only
from asset_ledger.projections.rebuild.difference import TableDifference, difference
from asset_ledger.projections.runtime.database import Database

Reach = Callable[[int], bool]
"""Brings what is being built to a position; False where it is beyond that already."""

_POSITIONS: Final = "SELECT DISTINCT position, log_id, leaf FROM main.positions"


@dataclass(slots=True)
class Comparison:
    """How the tables of generation `after` differ from those of `before`.

    `position`: where the tables of assets and jobs were compared. `reasons`: why a file could not
    be compared, where one could not.
    """

    before: int
    after: int
    position: int = 0
    tables: list[TableDifference] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows came, went and changed, in all tables."""
        return sum(each.added + each.removed + each.changed for each in self.tables)

    @property
    def differs(self) -> bool:
        """Whether anything would not be as it was."""
        return any(table.differs for table in self.tables)

    def add(self, path: Path, database: Database, feed: Feed, reach: Reach) -> None:
        """Compare one file, which may be in use, with its twin that is being built."""
        try:
            with closing(open_reader(path)) as db:
                db.execute("ATTACH ? AS next", (read_only(database.path),))
                _meet(db, feed, reach)  # most of the way: the snapshot shall not last
                db.execute("BEGIN")
                self.position = max(self.position, _meet(db, feed, reach))
                self.tables += [difference(db, table) for table in database.tables]
        except (sqlite3.DatabaseError, _IncomparableError) as error:
            self.reasons.append(f"{path.name}: {error}")

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
    """The file in use is at no position that its twin could meet it at."""


def stands_at(path: Path, feed: Feed) -> int | None:
    """The position of a file in use; None where it can be compared at none."""
    try:
        with closing(open_reader(path)) as db:
            return _position(db, feed)
    except (sqlite3.DatabaseError, _IncomparableError):
        return None


def _meet(db: sqlite3.Connection, feed: Feed, reach: Reach) -> int:
    position = _position(db, feed)
    if not reach(position):
        raise _IncomparableError(f"stands at {position:,} only")
    return position


def _position(db: sqlite3.Connection, feed: Feed) -> int:
    stands = db.execute(_POSITIONS).fetchall()
    if len(stands) != 1:
        raise _IncomparableError("its projections stand at different positions")
    ((position, log_id, leaf),) = stands
    if position and (log_id, leaf) != (feed.log_id, feed.leaf_hash(position)):
        raise _IncomparableError(f"stands at a fact {position:,} that this log does not have")
    return int(position)


def _rows(table: TableDifference) -> list[dict[str, Any]]:
    """The rows that are shown, each value that differs with what it was and is."""
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
