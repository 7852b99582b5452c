"""Migrate a file of tables to the schema of this release, before it is read or filled.

Each migration is applied and recorded in one transaction. A migration that needs events also
empties the tables, deletes their positions and marks the file `building` in that transaction. So a
kill leaves the file as it was, or marked to be filled from the log.

If the log is long, such a migration only expands the tables: older rows stay in use without the
new columns until a rebuild. It is recorded in `expanded_migrations` and not as applied.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.errors import NewerSchemaError
from asset_ledger.projections.migrations import Migration, in_order
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.store import Database, TableStore

LONG: Final = 100_000
"""How many events a start reads at most before the server listens: about two seconds of work."""

_RECORD: Final = "INSERT INTO schema_migrations VALUES (?, ?)"


def migrate(database: Database, log: int = 0) -> bool:
    """Apply the missing migrations in order; return whether the file must be filled from the log.

    `log` is the number of events. If it is above `LONG`, a migration that needs events only expands
    the tables, provided that it names the columns to backfill: see `pending_backfill`.
    Raises NewerSchemaError for a file that a later release has migrated.
    """
    applied, expanded = database.applied, database.expanded
    known = migrations_of(database.projections)
    _refuse_newer(applied | expanded, known, is_shared=database.is_shared)
    missing = [migration for migration in known if migration.name not in applied]
    apply = _expand if log > LONG and _can_expand(database, missing) else _apply
    for migration in missing:
        apply(database, migration, is_changed=migration.name in expanded)
    return database.state == "building"


def pending_backfill(expanded: Collection[str], projections: Sequence[Projection]) -> set[str]:
    """Return the columns (`assets.node_id`) that older rows lack until a rebuild."""
    known = migrations_of(projections)
    return {name for each in known if each.name in expanded for name in each.backfills or ()}


def _can_expand(database: Database, missing: Sequence[Migration]) -> bool:
    need_events = [migration for migration in missing if migration.needs_events]
    return database.state == "ready" and all(each.backfills is not None for each in need_events)


def is_current(database: Database) -> bool:
    """Return whether a file has exactly the schema of this release."""
    return database.applied == {migration.name for migration in migrations_of(database.projections)}


def missing_in(applied: Collection[str], projections: Sequence[Projection]) -> set[str]:
    """Return the migrations of this release that tables with these ones lack."""
    return {migration.name for migration in migrations_of(projections)} - {*applied}


def applied_to(store: TableStore, number: int, part: str = "") -> set[str]:
    """Return the names of the migrations applied to a file, without opening it for writing."""
    with store.reading(number, part) as db:
        return {name for (name,) in db.execute("SELECT name FROM schema_migrations")}


def is_newer(database: Database) -> bool:
    """Return whether a later release has migrated the tables."""
    known = {migration.name for migration in migrations_of(database.projections)}
    return bool((database.applied | database.expanded) - known)


def migrations_of(projections: Sequence[Projection]) -> list[Migration]:
    """Return the migrations of all projections, oldest first."""
    return in_order(each for projection in projections for each in projection.migrations)


def revision_of(migrations: Sequence[Migration]) -> str:
    """Return the name of the last migration, which names the schema; `""` without migrations."""
    return max((migration.name for migration in migrations), default="")


def _refuse_newer(applied: Collection[str], known: Sequence[Migration], *, is_shared: bool) -> None:
    unknown = set(applied) - {migration.name for migration in known}
    if unknown:
        other = "" if is_shared else ", or delete the file of tables, which the next start rebuilds"
        raise NewerSchemaError(
            f"the tables have the schema {max(unknown)}, and this release {revision_of(known)}: use"
            f" the later release{other}"
        )


def _apply(database: Database, migration: Migration, *, is_changed: bool) -> None:
    """Change the tables, unless they are expanded; empty them if the migration needs events."""
    with database.transaction() as db:
        if not is_changed:
            migration.upgrade(database.migrating())
        if migration.needs_events:
            database.empty()
            database.mark("building")
        db.execute("DELETE FROM expanded_migrations WHERE name = ?", (migration.name,))
        db.execute(_RECORD, (migration.name, iso(datetime.now(UTC))))


def _expand(database: Database, migration: Migration, *, is_changed: bool) -> None:
    """Change the tables, unless they are expanded, and keep the rows as they are."""
    if not migration.needs_events:
        _apply(database, migration, is_changed=False)
    elif not is_changed:
        with database.transaction() as db:
            migration.upgrade(database.migrating())
            db.execute("INSERT INTO expanded_migrations VALUES (?)", (migration.name,))
