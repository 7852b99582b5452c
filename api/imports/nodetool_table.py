"""NodeTool's tables of assets and jobs, read without checking their values.

Promise: the database is only read, also while NodeTool runs, in one read transaction.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from asset_ledger.api.imports.errors import SourceError, reading
from asset_ledger.ledger.storage.sqlite import open_reader

ASSETS: Final = "nodetool_assets"
JOBS: Final = "nodetool_jobs"

_COLUMNS_OF: Final = "SELECT name FROM pragma_table_info(?)"
_COUNTS: Final = f"""SELECT count(*), count(id) - count(DISTINCT lower(replace(id, '-', '')))
    FROM {ASSETS}"""
_PAGE: Final = 256


class NodeToolRow(NamedTuple):
    """One asset. Columns may hold values of any type: SQLite does not enforce types.

    `updated_at` is not read: no event has such a time.
    """

    id: Any
    user_id: Any
    workflow_id: Any
    parent_id: Any
    name: Any
    content_type: Any
    metadata: Any
    created_at: Any
    duration: Any
    node_id: Any
    job_id: Any
    external_path: Any


class NodeToolJob(NamedTuple):
    """One job. NodeTool changes its row; only the present values can be read."""

    id: Any
    user_id: Any
    workflow_id: Any
    status: Any
    started_at: Any
    finished_at: Any
    completed_at: Any
    failed_at: Any
    updated_at: Any
    params: Any
    error: Any
    error_message: Any


_OPTIONAL: Final = frozenset({"node_id", "job_id", "external_path"})
"""Columns that older files lack."""

_REQUIRED_OF_JOBS: Final = frozenset({"id", "user_id", "status", "started_at"})


class Table:
    """Both tables, in one read transaction. `jobs` is 0 without a table of jobs."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        required = [name for name in NodeToolRow._fields if name not in _OPTIONAL]
        self._assets = _select(db, path, ASSETS, NodeToolRow._fields, required)
        self.rows, self.repeated = db.execute(_COUNTS).fetchone()
        self.jobs, self._jobs = 0, ""
        if _columns(db, JOBS):
            self._jobs = _select(db, path, JOBS, NodeToolJob._fields, _REQUIRED_OF_JOBS)
            (self.jobs,) = db.execute(f"SELECT count(*) FROM {JOBS}").fetchone()

    def folders(self) -> Iterator[NodeToolRow]:
        """Yield the folders, the oldest first."""
        return self._rows("content_type = 'folder'")

    def files(self) -> Iterator[NodeToolRow]:
        """Yield all other rows, the oldest first."""
        return self._rows("content_type IS NOT 'folder'")

    def job_rows(self) -> Iterator[NodeToolJob]:
        """Yield the jobs, the oldest first."""
        if self._jobs:
            yield from map(NodeToolJob._make, self._pages(f"{self._jobs} ORDER BY started_at, id"))

    def _rows(self, which: str) -> Iterator[NodeToolRow]:
        sql = f"{self._assets} WHERE {which} ORDER BY created_at, id"
        return map(NodeToolRow._make, self._pages(sql))

    def _pages(self, sql: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._db.execute(sql)
        while page := cursor.fetchmany(_PAGE):
            yield from page


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open the tables in a file. Raises SourceError if it is not a NodeTool database."""
    # sqlite3 cannot decode the message of an error that quotes damaged text, and raises
    # MemoryError for a damaged file that claims a huge schema.
    kinds = (sqlite3.Error, UnicodeDecodeError, MemoryError)
    with reading(path, *kinds), closing(open_reader(path)) as db:
        db.text_factory = _text
        db.execute("BEGIN")
        yield Table(db, path)


def _text(stored: bytes) -> str:
    """Decode a text. Invalid UTF-8 in one row must not end the import."""
    return stored.decode("utf-8", "surrogateescape")


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {name for (name,) in db.execute(_COLUMNS_OF, (table,))}


def _select(
    db: sqlite3.Connection,
    path: Path,
    table: str,
    columns: Sequence[str],
    required: Collection[str],
) -> str:
    """Return a SELECT of these columns, NULL for those that are missing. Raises SourceError."""
    existing = _columns(db, table)
    if not existing:
        raise SourceError(f"{path} has no table {table}: check --db")
    if missing := [name for name in required if name not in existing]:
        raise SourceError(
            f"{path}: {table} has no column {missing[0]}: check --db, which has to be the database"
            " of a NodeTool that writes this column"
        )
    selected = (name if name in existing else "NULL" for name in columns)
    return f"SELECT {', '.join(selected)} FROM {table}"
