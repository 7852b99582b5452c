"""NodeTool's table of assets, read as it stands: nothing of it is believed yet.

Promise: it is only read, also while NodeTool runs, and every row is given out as it was at one
moment.
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
"""Columns that older files do not have. `updated_at` is not read: no event can claim it."""

_COLUMNS_OF: Final = "SELECT name FROM pragma_table_info('nodetool_assets')"
_COUNTS: Final = """SELECT count(*), count(id) - count(DISTINCT lower(replace(id, '-', '')))
    FROM nodetool_assets"""
_ORDER: Final = "ORDER BY created_at, id"
_PAGE: Final = 256


class NodeToolRow(NamedTuple):
    """One row. Columns may hold anything: SQLite does not look at the type of what it keeps."""

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
        """The folders, the oldest first."""
        return self._rows("content_type = 'folder'")

    def files(self) -> Iterator[NodeToolRow]:
        """Everything else, the oldest first."""
        return self._rows("content_type IS NOT 'folder'")

    def _rows(self, which: str) -> Iterator[NodeToolRow]:
        cursor = self._db.execute(f"{self._select} WHERE {which} {_ORDER}")
        while page := cursor.fetchmany(_PAGE):
            yield from map(NodeToolRow._make, page)


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """The table in a file. Raises SourceError for what is no NodeTool database."""
    with reading(path, sqlite3.Error), closing(open_reader(path)) as db:
        db.text_factory = _text
        db.execute("BEGIN")
        yield Table(db)


def _text(stored: bytes) -> str:
    """Bytes that are no UTF-8 stay recognisable: one such name must not end the reading."""
    return stored.decode("utf-8", "surrogateescape")


def _selected(db: sqlite3.Connection) -> Iterator[str]:
    there = {name for (name,) in db.execute(_COLUMNS_OF)}
    if not there:
        raise SourceError("there is no table nodetool_assets in it: this is no NodeTool database")
    for name in COLUMNS:
        if name not in there and name not in OPTIONAL:
            raise SourceError(f"nodetool_assets has no column {name}")
        yield name if name in there else "NULL"
