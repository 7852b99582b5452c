"""Dated changes to the tables, applied in the order of their names, each exactly once.

A migration is a module with `upgrade(db)` and `needs_facts`: whether rows that were projected
before it lack something that only the log can tell. It never begins or commits a transaction:
`migrate` owns that, so that a change and its record are one.
"""

import sqlite3
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import NamedTuple


class Migration(NamedTuple):
    """One dated change."""

    name: str
    upgrade: Callable[[sqlite3.Connection], None]
    needs_facts: bool


def load(name: str) -> Migration:
    """The migration of this package in the file `<name>.py`; such names no `import` can spell."""
    module = import_module(f"{__name__}.{name}")
    return Migration(name, module.upgrade, module.needs_facts)


def in_order(migrations: Iterable[Migration]) -> list[Migration]:
    """Oldest first: as they are applied."""
    return sorted(migrations, key=lambda migration: migration.name)
