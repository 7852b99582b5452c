"""Projections of others: found by an entry point of their package, and made whole.

Promise: what is wrong with one of them is said under its name, and keeps nothing else from work.
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
from asset_ledger.projections.projection import Projection, Statement

GROUP: Final = "asset_ledger.projections"
"""The entry points whose names are those of projections, and whose objects their classes."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)  # it is part of the name of a file

logger = logging.getLogger(__name__)


class Installed(NamedTuple):
    """Projections of others, in the order of their names, and why there are not more of them."""

    projections: Sequence[Projection]
    broken: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Completed:
    """A projection with what its author may leave out."""

    name: str
    tables: Sequence[str]
    migrations: Sequence[Migration]
    functions: Mapping[str, Callable[..., Any]]
    settling: Sequence[str]
    statements: Callable[[Recorded], Iterator[Statement]]


def installed(taken: Collection[str]) -> Installed:
    """The projections of the packages that are installed now, none of them under a taken name."""
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    times = Counter(entry.name for entry in entries)
    projections: list[Projection] = []
    broken: dict[str, str] = {}
    for entry in entries:
        try:
            if times[entry.name] > 1 or entry.name in taken:
                raise ValueError(f"the name {entry.name} is taken")
            projections.append(_loaded(entry))
        except Exception as error:
            broken[entry.name] = why(entry.name, error)
    return Installed(projections, broken)


def why(name: str, error: Exception) -> str:
    """What is said of a projection that cannot be used; the log of the server has the rest."""
    logger.error("the projection %s is not used", name, exc_info=error)
    return f"{type(error).__name__}: {error}"


def _loaded(entry: EntryPoint) -> Projection:
    if not _NAME.fullmatch(entry.name):
        raise ValueError(f"a name is lower-case letters, digits and _, and {entry.name!r} is not")
    given = entry.load()()
    if given.name != entry.name:
        raise ValueError(f"its entry point calls it {entry.name}, its class {given.name}")
    functions = dict(getattr(given, "functions", {}))
    return Completed(
        name=entry.name,
        tables=tuple(_tables(in_order(given.migrations), functions)),
        migrations=tuple(given.migrations),
        functions=functions,
        settling=tuple(getattr(given, "settling", ())),
        statements=given.statements,
    )


def _tables(
    migrations: Sequence[Migration], functions: Mapping[str, Callable[..., Any]]
) -> Iterator[str]:
    """What the digest is over: every table that the migrations make, tried in memory."""
    with closing(sqlite3.connect(":memory:")) as db:
        for name, function in functions.items():
            db.create_function(name, -1, function, deterministic=True)
        for migration in migrations:
            migration.upgrade(db)
        for _, table, kind, *_ in db.execute("PRAGMA main.table_list").fetchall():
            if kind != "table" or table.startswith("sqlite_"):
                continue
            if not any(rank for *_, rank in db.execute(f'PRAGMA table_info("{table}")')):
                raise ValueError(f"the table {table} needs a primary key: it orders the digest")
            yield table
