"""Find the generation that a rollback goes back to. Reads only."""

from typing import NamedTuple

from asset_ledger.ledger.errors import GenerationError
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.migrate import migrations_of
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS
from asset_ledger.projections.runtime.store import TableStore


class PreviousGeneration(NamedTuple):
    """The generation before the one in use. `usable`: it has the schema of this release."""

    generation: int
    revision: str
    position: int
    usable: bool


def find_previous(store: TableStore, number: int) -> PreviousGeneration | None:
    """Return the last generation before `number` that is ready, or None."""
    before = [n for n in store.numbers() if n < number and store.is_ready(n)]
    return _read(store, before[-1]) if before else None


def check_usable(previous: PreviousGeneration | None) -> PreviousGeneration:
    """Return the previous generation. Raises GenerationError if there is none or it is unusable."""
    if previous is None:
        raise GenerationError("no earlier generation of the tables is kept: nothing was changed")
    if not previous.usable:
        raise GenerationError(
            f"generation {previous.generation} has the schema {previous.revision} of another "
            "release: rebuild the tables instead"
        )
    return previous


def _read(store: TableStore, number: int) -> PreviousGeneration | None:
    parts: list[tuple[str, list[Projection]]] = [("", list(PROJECTIONS))]
    parts += [(each.name, [each]) for each in FOLLOWING]
    try:
        schemas = {part: _schema(store, number, part) for part, _ in parts}
        position = _position(store, number)
    except store.errors:
        return None  # damaged: no rollback to it
    known = {part: {m.name for m in migrations_of(projections)} for part, projections in parts}
    revision = max(max(names, default="") for names in schemas.values())
    return PreviousGeneration(number, revision, position, schemas == known)


def _schema(store: TableStore, number: int, part: str) -> set[str]:
    with store.reading(number, part) as db:
        return {name for (name,) in db.execute("SELECT name FROM schema_migrations")}


def _position(store: TableStore, number: int) -> int:
    with store.reading(number) as db:
        (position,) = db.execute("SELECT min(position) FROM positions").fetchone()
        return position or 0
