"""NodeTool's table of assets, read without checking its values.

Promise: the table is only read, also while NodeTool runs, in one read transaction.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from asset_ledger.api.imports.errors import SourceError, reading
from asset_ledger.ledger.storage.sqlite import open_reader

COLUMNS: Final = (
    *("id", "user_id", "workflow_id", "parent_id", "name", "content_type", "metadata"),
    *("created_at", "duration", "size", "node_id", "job_id"),
)
OPTIONAL: Final = frozenset({"size", "node_id", "job_id"})
"""Columns that older files lack. `updated_at` is not read: no event has such a time."""

_COLUMNS_OF: Final = "SELECT name FROM pragma_table_info('nodetool_assets')"
_COUNTS: Final = """SELECT count(*), count(id) - count(DISTINCT lower(replace(id, '-', '')))
    FROM nodetool_assets"""
_ORDER: Final = "ORDER BY created_at, id"
_PAGE: Final = 256


class NodeToolRow(NamedTuple):
    """One row. Columns may hold values of any type: SQLite does not enforce types."""

    id: Any
    user_id: Any
    workflow_id: Any
    parent_id: Any
    name: Any
    content_type: Any
    metadata: Any
    created_at: Any
    duration: Any
    size: Any
    node_id: Any
    job_id: Any


class Table:
    """The table, in one read transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._select = f"SELECT {', '.join(_selected(db))} FROM nodetool_assets"
        self.rows, self.repeated = db.execute(_COUNTS).fetchone()

    def folders(self) -> Iterator[NodeToolRow]:
        """Yield the folders, the oldest first."""
        return self._rows("content_type = 'folder'")

    def files(self) -> Iterator[NodeToolRow]:
        """Yield all other rows, the oldest first."""
        return self._rows("content_type IS NOT 'folder'")

    def _rows(self, which: str) -> Iterator[NodeToolRow]:
        cursor = self._db.execute(f"{self._select} WHERE {which} {_ORDER}")
        while page := cursor.fetchmany(_PAGE):
            yield from map(NodeToolRow._make, page)


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open the table in a file. Raises SourceError if it is not a NodeTool database."""
    with reading(path, sqlite3.Error), closing(open_reader(path)) as db:
        db.text_factory = _text
        db.execute("BEGIN")
        yield Table(db)


def _text(stored: bytes) -> str:
    """Decode a text. Invalid UTF-8 in one row must not end the import."""
    return stored.decode("utf-8", "surrogateescape")


def _selected(db: sqlite3.Connection) -> Iterator[str]:
    existing = {name for (name,) in db.execute(_COLUMNS_OF)}
    if not existing:
        raise SourceError("the database has no table nodetool_assets: check --db")
    for name in COLUMNS:
        if name not in existing and name not in OPTIONAL:
            raise SourceError(
                f"nodetool_assets has no column {name}: check --db, which has to be the database"
                " of a NodeTool that writes this column"
            )
        yield name if name in existing else "NULL"
