"""Dated changes to the tables, applied in the order of their names, each exactly once.

A migration is a module with `upgrade(db)` and `needs_events`: whether rows that were projected
before it lack something that only the log can tell. It may have `backfills`: the columns that they
lack, where those rows are of use all the same until they are made anew. It never begins or commits
a transaction: `migrate` owns that, so that a change and its record are one.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import NamedTuple


class Migration(NamedTuple):
    """One dated change.

    `backfills`: the columns (`assets.node_id`) that are not to be asked for until they are filled from
    the log, while all else of the rows may be; None where the rows are of no use before that.
    """

    name: str
    upgrade: Callable[[sqlite3.Connection], None]
    needs_events: bool
    backfills: Sequence[str] | None = None


def load(name: str) -> Migration:
    """The migration of this package in the file `<name>.py`; such names no `import` can spell."""
    module = import_module(f"{__name__}.{name}")
    backfills = getattr(module, "backfills", None)
    return Migration(name, module.upgrade, module.needs_events, backfills)


def in_order(migrations: Iterable[Migration]) -> list[Migration]:
    """Oldest first: as they are applied."""
    return sorted(migrations, key=lambda migration: migration.name)
