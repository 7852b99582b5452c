"""Schema and row counts of the generation in use, through read-only connections."""

from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.generation import Generation
from asset_ledger.projections.runtime.migrate import pending_backfill
from asset_ledger.projections.runtime.registry import PROJECTIONS
from asset_ledger.projections.runtime.store import TableStore


class GenerationFiles:
    """The schema and the row counts of the generation in use. Any thread may call.

    `revision` is the name of the last migration. `expanded`: older rows lack columns that a
    migration added, and a rebuild has to fill them. `pending_backfill` names those columns, which
    no query may use before that.
    """

    def __init__(self, store: TableStore, following: Generation) -> None:
        """Read the schemas."""
        self.number = number = following.number
        parts: list[tuple[str, Sequence[Projection]]] = [("", PROJECTIONS)]
        parts += [(each.database.part, each.projections) for each in following.runners.values()]
        schemas = [(_read(store, number, part), projections) for part, projections in parts]
        own = 1 + len(following.own)
        self.revision = max(max(schema.applied, default="") for schema, _ in schemas[:own])
        self.expanded = any(schema.expanded for schema, _ in schemas)
        self.pending_backfill = {
            name
            for schema, projections in schemas[:own]
            for name in pending_backfill(schema.expanded, projections)
        }
        self._counts = [
            RowCounts(store, number, part, [t for each in projections for t in each.tables])
            for part, projections in parts
        ]

    def count_rows(self) -> dict[str, int]:
        """Return the row counts of all tables, by table."""
        return {table: n for counts in self._counts for table, n in counts.read().items()}


class RowCounts:
    """The row counts of one file. Any thread may call.

    No engine stores counts, and storing them in a table would cost every write a row. The counts
    are cached until the position of the file moves.
    """

    def __init__(self, store: TableStore, number: int, part: str, tables: Sequence[str]) -> None:
        self._store, self._number, self._part = store, number, part
        self._tables = tuple(tables)
        self._lock = Lock()  # concurrent callers wait for the count that is under way
        self._counted_at: list[Any] = []
        self._counts: Mapping[str, int] = {}

    def read(self) -> Mapping[str, int]:
        """Return the counts by table. Scans each table's smallest index if the position moved."""
        with self._lock, self._store.reading(self._number, self._part) as db:
            at = db.execute("SELECT * FROM positions ORDER BY 1").fetchall()
            if at != self._counted_at:
                self._counts = {table: _count(db, table) for table in self._tables}
                self._counted_at = at
            return self._counts


class _Schema(NamedTuple):
    applied: Collection[str]
    expanded: Collection[str]


def _read(store: TableStore, number: int, part: str) -> _Schema:
    with store.reading(number, part) as db:
        return _Schema(_names(db, "schema_migrations"), _names(db, "expanded_migrations"))


def _names(db: SqlConnection, table: str) -> list[str]:
    return [name for (name,) in db.execute(f"SELECT name FROM {table}")]


def _count(db: SqlConnection, table: str) -> int:
    return int(db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])
