"""Load projections of other packages, which are found by an entry point.

A projection that cannot be loaded is reported under its name and stops nothing else.
"""

import logging
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.projections.migrations import Migration, in_order
from asset_ledger.projections.projection import Statement

GROUP: Final = "asset_ledger.projections"
"""The group of entry points. Each names a projection and points to its class."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)  # part of a file name

logger = logging.getLogger(__name__)


class Installed(NamedTuple):
    """The projections of other packages, by name, and the reasons of those that cannot be used."""

    projections: Sequence["InstalledProjection"]
    broken: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class InstalledProjection:
    """A projection of another package, with defaults for the attributes that it may omit.

    `postgresql`: its SQL works on both databases.
    """

    name: str
    tables: Sequence[str]
    migrations: Sequence[Migration]
    functions: Mapping[str, Callable[..., Any]]
    settling: Sequence[str]
    statements: Callable[[Recorded], Iterator[Statement]]
    postgresql: bool


def installed(taken: Collection[str]) -> Installed:
    """Load the projections of all installed packages. Reject those that have a `taken` name."""
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    times = Counter(entry.name for entry in entries)
    projections: list[InstalledProjection] = []
    broken: dict[str, str] = {}
    for entry in entries:
        try:
            if times[entry.name] > 1 or entry.name in taken:
                raise ValueError(f"the name {entry.name} is taken")
            projections.append(_loaded(entry))
        except Exception as error:
            broken[entry.name] = report_unusable(entry.name, error)
    return Installed(projections, broken)


def report_unusable(name: str, error: Exception) -> str:
    """Log the error of a projection with its traceback, and return it as one line."""
    logger.error("the projection %s is not used", name, exc_info=error)
    return f"{type(error).__name__}: {error}"


def _loaded(entry: EntryPoint) -> "InstalledProjection":
    if not _NAME.fullmatch(entry.name):
        raise ValueError(f"{entry.name!r} is no name: use lower-case letters, digits and _")
    projection = entry.load()()
    if projection.name != entry.name:
        raise ValueError(f"its entry point has the name {entry.name}, its class {projection.name}")
    functions = dict(getattr(projection, "functions", {}))
    return InstalledProjection(
        name=entry.name,
        tables=tuple(_tables(in_order(projection.migrations), functions)),
        migrations=tuple(projection.migrations),
        functions=functions,
        settling=tuple(getattr(projection, "settling", ())),
        statements=projection.statements,
        postgresql=bool(getattr(projection, "postgresql", False)),
    )


def _tables(
    migrations: Sequence[Migration], functions: Mapping[str, Callable[..., Any]]
) -> Iterator[str]:
    """Yield the tables that migrations make. Raises ValueError for one without a primary key."""
    with closing(sqlite3.connect(":memory:")) as db:
        for name, function in functions.items():
            db.create_function(name, -1, function, deterministic=True)
        for migration in migrations:
            migration.upgrade(db)
        for _, table, kind, *_ in db.execute("PRAGMA main.table_list").fetchall():
            if kind != "table" or table.startswith("sqlite_"):
                continue
            if not any(rank for *_, rank in db.execute(f'PRAGMA table_info("{table}")')):
                raise ValueError(f"the table {table} needs a primary key, which orders the digest")
            yield table
