"""Migrations: dated changes to the tables, applied once each, in the order of their names.

A migration is a module with `upgrade(db)` and `needs_events`: whether older rows have to be made
again from the log. `backfills`, if present, names the columns that older rows lack; it says that
they may be used without those columns until then. `upgrade` MUST NOT begin or commit a transaction:
the caller commits the change and its record together.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import NamedTuple

from asset_ledger.ledger.storage.database import SqlConnection


class Migration(NamedTuple):
    """One dated change to the tables.

    `backfills`: the columns (`assets.node_id`) that no query may use until a rebuild fills them;
    None if older rows cannot be used at all before that.
    """

    name: str
    upgrade: Callable[[SqlConnection], None]
    needs_events: bool
    backfills: Sequence[str] | None = None


def load(name: str) -> Migration:
    """Return the migration of this package in `<name>.py`, a name that no `import` can spell."""
    module = import_module(f"{__name__}.{name}")
    backfills = getattr(module, "backfills", None)
    return Migration(name, module.upgrade, module.needs_events, backfills)


def in_order(migrations: Iterable[Migration]) -> list[Migration]:
    """Return migrations oldest first, as they are applied."""
    return sorted(migrations, key=lambda migration: migration.name)
