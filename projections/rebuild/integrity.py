"""Check a file of tables as a whole: its schema, and SQLite's integrity checks."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.storage.sqlite import open_reader, spell_out
from asset_ledger.projections.rebuild.findings import WHOLE
from asset_ledger.projections.rebuild.full_text import check_index
from asset_ledger.projections.runtime.store import Database
from asset_ledger.projections.runtime.table_files import (
    delete,
    full_text_indexes,
)

COPY: Final = "copy.db"

MAX_ERRORS: Final = 100
"""How many errors of one file are reported."""

_SCHEMA: Final = "SELECT name FROM schema_migrations ORDER BY name"
_OBJECTS: Final = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
_DEFERRED: Final = "SELECT 'index', name FROM deferred_indexes"


def has_schema_of(path: Path, built: Database) -> bool:
    """Return whether a file has the migrations of this release.

    True also if it cannot be read: the comparison reports that.
    """
    try:
        with closing(open_reader(path)) as db:
            return db.execute(_SCHEMA).fetchall() == built.write.execute(_SCHEMA).fetchall()
    except sqlite3.DatabaseError:
        return True  # the comparison reports the error


def check_file(path: Path, built: Database, scratch: Path) -> Iterator[Finding]:
    """Compare the schema with that of a built file, and run SQLite's checks.

    A file with a full-text index is copied to `scratch` for the checks.
    """
    try:
        with closing(open_reader(path)) as db:
            db.text_factory = spell_out
            yield from _schema_findings(path.name, db, built)
            if indexes := full_text_indexes(db):
                yield from _check_copy(path.name, db, built, scratch / COPY, sorted(indexes))
            else:
                yield from _check(path.name, db, built)
    except sqlite3.DatabaseError as error:
        yield Finding(path.name, WHOLE, str(error))


def integrity_findings(path: Path) -> Iterator[Finding]:
    """Run SQLite's integrity check on a file that cannot be compared."""
    try:
        with closing(open_reader(path)) as db:
            db.text_factory = spell_out
            yield from _integrity(path.name, db)
    except sqlite3.DatabaseError as error:
        yield Finding(path.name, WHOLE, str(error))


def _schema_findings(file: str, db: sqlite3.Connection, built: Database) -> Iterator[Finding]:
    found = set(db.execute(_OBJECTS))
    expected = {*built.write.execute(_OBJECTS), *built.write.execute(_DEFERRED)}
    for kind, name in sorted(expected - found):
        yield Finding(f"{file} {kind}", name, "is missing")
    for kind, name in sorted(found - expected):
        yield Finding(f"{file} {kind}", name, "is there, and no migration makes it")


def _check_copy(
    file: str, db: sqlite3.Connection, built: Database, copy: Path, indexes: list[str]
) -> Iterator[Finding]:
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as copied:
            copied.text_factory = spell_out
            db.backup(copied)
            yield from _check(file, copied, built)
            for table in indexes:
                for what in check_index(copied, table):
                    yield Finding(f"{file} {table}", WHOLE, what)
    finally:
        delete(copy)


def _check(file: str, db: sqlite3.Connection, built: Database) -> Iterator[Finding]:
    for projection in built.projections:
        for name, function in projection.functions.items():  # an index may use one
            db.create_function(name, -1, function, deterministic=True)
    yield from _integrity(file, db)


def _integrity(file: str, db: sqlite3.Connection) -> Iterator[Finding]:
    lines: list[Any] = db.execute("PRAGMA integrity_check").fetchmany(MAX_ERRORS)
    yield from (Finding(file, WHOLE, line) for (line,) in lines if line != "ok")
