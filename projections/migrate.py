"""Brings a file of views to the schema of this release, before anything reads or fills it.

Each migration and its record are one transaction. One that needs facts empties the tables, forgets
their positions and marks the file `building` in that same transaction: wherever a kill strikes,
the file is either as it was, or says itself that it has to be filled from the log again.
"""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from ledger.errors import NewerSchemaError
from ledger.fact import iso
from ledger.sqlite import transaction
from projections.database import BOOKKEEPING, Database
from projections.migrations import Migration, in_order
from projections.projection import Projection


def migrate(database: Database) -> bool:
    """Apply what the file lacks, in the order of names; whether it must be filled from the log.

    Raises NewerSchemaError for a file that a later release has changed.
    """
    applied = [name for (name,) in database.write.execute("SELECT name FROM schema_migrations")]
    known = migrations_of(database.projections)
    _refuse_newer(applied, known)
    for migration in known:
        if migration.name not in applied:
            _apply(database, migration)
    return database.state == "building"


def is_current(database: Database) -> bool:
    """Whether a file has the schema of this release, no more and no less."""
    applied = {name for (name,) in database.write.execute("SELECT name FROM schema_migrations")}
    return applied == {migration.name for migration in migrations_of(database.projections)}


def migrations_of(projections: Sequence[Projection]) -> list[Migration]:
    """Every projection's migrations, oldest first."""
    return in_order(each for projection in projections for each in projection.migrations)


def revision_of(migrations: Sequence[Migration]) -> str:
    """The name of the last one: what a schema of this release is called."""
    return max((migration.name for migration in migrations), default="")


def _refuse_newer(applied: Sequence[str], known: Sequence[Migration]) -> None:
    unknown = set(applied) - {migration.name for migration in known}
    if unknown:
        raise NewerSchemaError(
            f"the views are at revision {max(unknown)}, this release knows {revision_of(known)}:"
            " use the later release, or delete the projections file to have it made again"
        )


def _apply(database: Database, migration: Migration) -> None:
    with transaction(database.write) as db:
        migration.upgrade(db)
        if migration.needs_facts:
            empty(db)
            database.mark("building")
        db.execute(
            "INSERT INTO schema_migrations VALUES (?, ?)", (migration.name, iso(datetime.now(UTC)))
        )


def empty(db: sqlite3.Connection) -> None:
    """Forget every projected row and position, as part of the caller's transaction."""
    for _, table, kind, *_ in db.execute("PRAGMA main.table_list").fetchall():
        if kind == "virtual":  # an index of words, which has no rows that could be deleted
            db.execute(f'INSERT INTO "{table}" ("{table}") VALUES (\'delete-all\')')
        elif kind == "table" and table not in BOOKKEEPING and not table.startswith("sqlite_"):
            db.execute(f'DELETE FROM "{table}"')
    db.execute("DELETE FROM positions")
