"""Brings a file of projections to the schema of this release, before anything reads or fills it.

Each migration and its record are one transaction. One that needs events empties the tables, forgets
their positions and marks the file `building` in that same transaction: wherever a kill strikes,
the file is either as it was, or says itself that it has to be filled from the log again.

Where the log is long, the rows stay and serve, expanded by what they lack, until the generation is
made anew from the log: such a migration has no record yet, and the file no later revision.
"""

import sqlite3
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.errors import NewerSchemaError
from asset_ledger.ledger.storage.sqlite import transaction
from asset_ledger.projections.migrations import Migration, in_order
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.database import BOOKKEEPING, Database

LONG: Final = 100_000
"""More events than that are not read before a server listens: some two seconds of work."""

_RECORD: Final = "INSERT INTO schema_migrations VALUES (?, ?)"


def migrate(database: Database, log: int = 0) -> bool:
    """Apply what the file lacks, in the order of names; whether it must be filled from the log.

    `log` is how many events there are. Where it is long, a migration that needs them expands the
    tables and leaves the rows as they are, if they are of use like that: see `pending_backfill`.
    Raises NewerSchemaError for a file that a later release has changed.
    """
    applied, expanded = database.applied, database.expanded
    known = migrations_of(database.projections)
    _refuse_newer(applied | expanded, known)
    missing = [migration for migration in known if migration.name not in applied]
    apply = _expand if log > LONG and _serves_meanwhile(database, missing) else _apply
    for migration in missing:
        apply(database, migration, is_changed=migration.name in expanded)
    return database.state == "building"


def pending_backfill(expanded: Collection[str], projections: Sequence[Projection]) -> set[str]:
    """The columns that no query may use until a rebuild, by the migrations that only expanded."""
    known = migrations_of(projections)
    return {name for each in known if each.name in expanded for name in each.backfills or ()}


def _serves_meanwhile(database: Database, missing: Sequence[Migration]) -> bool:
    needy = [migration for migration in missing if migration.needs_events]
    return database.state == "ready" and all(each.backfills is not None for each in needy)


def is_current(database: Database) -> bool:
    """Whether a file has the schema of this release, no more and no less."""
    return database.applied == {migration.name for migration in migrations_of(database.projections)}


def migrations_of(projections: Sequence[Projection]) -> list[Migration]:
    """Every projection's migrations, oldest first."""
    return in_order(each for projection in projections for each in projection.migrations)


def revision_of(migrations: Sequence[Migration]) -> str:
    """The name of the last one: what a schema of this release is called."""
    return max((migration.name for migration in migrations), default="")


def _refuse_newer(applied: Collection[str], known: Sequence[Migration]) -> None:
    unknown = set(applied) - {migration.name for migration in known}
    if unknown:
        raise NewerSchemaError(
            f"the projections are at revision {max(unknown)}, this release knows {revision_of(known)}:"
            " use the later release, or delete the projections file to have it made again"
        )


def _apply(database: Database, migration: Migration, *, is_changed: bool) -> None:
    """Change the tables, unless that was done before; empty them where they need events."""
    with transaction(database.write) as db:
        if not is_changed:
            migration.upgrade(db)
        if migration.needs_events:
            empty(db)
            database.mark("building")
        db.execute("DELETE FROM expanded_migrations WHERE name = ?", (migration.name,))
        db.execute(_RECORD, (migration.name, iso(datetime.now(UTC))))


def _expand(database: Database, migration: Migration, *, is_changed: bool) -> None:
    """Change the tables, unless that was done before; what older rows lack, they go on lacking."""
    if not migration.needs_events:
        _apply(database, migration, is_changed=False)
    elif not is_changed:
        with transaction(database.write) as db:
            migration.upgrade(db)
            db.execute("INSERT INTO expanded_migrations VALUES (?)", (migration.name,))


def empty(db: sqlite3.Connection) -> None:
    """Forget every projected row and position, as part of the caller's transaction."""
    for _, table, kind, *_ in db.execute("PRAGMA main.table_list").fetchall():
        if kind == "virtual":  # an index of words, which has no rows that could be deleted
            db.execute(f'INSERT INTO "{table}" ("{table}") VALUES (\'delete-all\')')
        elif kind == "table" and table not in BOOKKEEPING and not table.startswith("sqlite_"):
            db.execute(f'DELETE FROM "{table}"')
    db.execute("DELETE FROM positions")
