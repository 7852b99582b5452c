"""Schema and row counts of the generation in use, through read-only connections."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from asset_ledger.ledger.storage.sqlite import open_reader
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.database import path_of
from asset_ledger.projections.runtime.generation import Generation
from asset_ledger.projections.runtime.migrate import pending_backfill
from asset_ledger.projections.runtime.registry import PROJECTIONS


class GenerationFiles:
    """The schema and the row counts of the generation in use. Any thread may call.

    `revision` is the name of the last migration. `expanded`: older rows lack columns that a
    migration added, and a rebuild has to fill them. `pending_backfill` names those columns, which
    no query may use before that.
    """

    def __init__(self, folder: Path, following: Generation) -> None:
        """Read the schemas. Raises sqlite3.Error."""
        self.number = following.number
        tables = path_of(folder, following.number)
        files: list[tuple[Path, Sequence[Projection]]] = [(tables, PROJECTIONS)]
        files += [(each.database.path, each.projections) for each in following.runners.values()]
        schemas = [(_read(path), projections) for path, projections in files]
        own = 1 + len(following.own)
        self.revision = max(max(schema.applied, default="") for schema, _ in schemas[:own])
        self.expanded = any(schema.expanded for schema, _ in schemas)
        self.pending_backfill = {
            name
            for schema, projections in schemas[:own]
            for name in pending_backfill(schema.expanded, projections)
        }
        self._counts = [
            RowCounts(path, [table for each in projections for table in each.tables])
            for path, projections in files
        ]

    def count_rows(self) -> dict[str, int]:
        """Return the row counts of all tables, by table."""
        return {table: n for counts in self._counts for table, n in counts.read().items()}


class RowCounts:
    """The row counts of one file. Any thread may call.

    SQLite stores no counts, and storing them in a table would cost every write a row. The counts
    are cached until the position of the file moves.
    """

    def __init__(self, path: Path, tables: Sequence[str]) -> None:
        self._path, self._tables = path, tuple(tables)
        self._lock = Lock()  # concurrent callers wait for the count that is under way
        self._counted_at: list[Any] = []
        self._counts: Mapping[str, int] = {}

    def read(self) -> Mapping[str, int]:
        """Return the counts by table. Scans each table's smallest index if the position moved."""
        with self._lock, closing(open_reader(self._path)) as db:
            db.execute("BEGIN")  # else the rows could be those of a later position
            at = db.execute("SELECT * FROM positions ORDER BY 1").fetchall()
            if at != self._counted_at:
                self._counts = {table: _count(db, table) for table in self._tables}
                self._counted_at = at
            return self._counts


class _Schema(NamedTuple):
    applied: Collection[str]
    expanded: Collection[str]


def _read(path: Path) -> _Schema:
    with closing(open_reader(path)) as db:
        return _Schema(_names(db, "schema_migrations"), _names(db, "expanded_migrations"))


def _names(db: sqlite3.Connection, table: str) -> list[str]:
    return [name for (name,) in db.execute(f"SELECT name FROM {table}")]


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])
