"""What is known of a generation from its files alone, which are only read."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from asset_ledger.ledger.errors import GenerationError
from asset_ledger.ledger.storage.sqlite import open_reader
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.database import is_ready, numbers, path_of
from asset_ledger.projections.runtime.migrate import migrations_of
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS


class PreviousGeneration(NamedTuple):
    """A generation that was in use before. `usable`: it has the schema of this release."""

    generation: int
    revision: str
    position: int
    usable: bool


def find_previous(folder: Path, number: int) -> PreviousGeneration | None:
    """The generation that a rollback would go back to, from this one."""
    before = [n for n in numbers(folder) if n < number and is_ready(path_of(folder, n))]
    return _read(folder, before[-1]) if before else None


def check_usable(kept: PreviousGeneration | None) -> PreviousGeneration:
    """One that can be gone back to. Raises GenerationError."""
    if kept is None:
        raise GenerationError("there is no generation to go back to")
    if not kept.usable:
        raise GenerationError(
            f"generation {kept.generation} has the schema {kept.revision}, which is not this "
            "release's: make the tables anew instead"
        )
    return kept


def _read(folder: Path, number: int) -> PreviousGeneration | None:
    parts: list[tuple[str, list[Projection]]] = [("", list(PROJECTIONS))]
    parts += [(each.name, [each]) for each in FOLLOWING]
    try:
        schemas = {part: _schema(path_of(folder, number, part)) for part, _ in parts}
        position = _position(path_of(folder, number))
    except sqlite3.DatabaseError:
        return None  # it cannot be gone back to
    known = {part: {m.name for m in migrations_of(projections)} for part, projections in parts}
    revision = max(max(names, default="") for names in schemas.values())
    return PreviousGeneration(number, revision, position, schemas == known)


def _schema(path: Path) -> set[str]:
    with closing(open_reader(path)) as db:
        return {name for (name,) in db.execute("SELECT name FROM schema_migrations")}


def _position(path: Path) -> int:
    with closing(open_reader(path)) as db:
        (position,) = db.execute("SELECT min(position) FROM positions").fetchone()
        return position or 0
