"""A data folder from before the second migration, and migrations that tests add after it.

`kept/ledger.sql` is its log. `kept/tables.sql` has the tables that the migrations of 20260101 made
of it: assets without node and job, in their columns and in their JSON.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.migrations import Migration
from asset_ledger.projections.runtime.migrate import migrations_of, revision_of
from asset_ledger.projections.runtime.registry import PROJECTIONS
from asset_ledger.projections.runtime.table_files import path_of
from asset_ledger.projections.tables.assets import Assets
from tests.builders import asset_id, created, deleted, described, started

DIGEST: Final = "b46421a83388ca88bb37b0b959bca9e5593101dff56c905e04d532b526957769"
"""The digest of all tables that the current schema makes of the stored log."""
BASELINE: Final = "20260101"
NEWEST: Final = revision_of(migrations_of(PROJECTIONS))
PLANTED: Final = "20300101_000000_add_smell"
_KEPT: Final = Path(__file__).with_name("kept")


def restore(folder: Path) -> None:
    """Put the log and generation 1 into an empty folder."""
    for name, path in (("ledger", folder / "ledger.db"), ("tables", path_of(folder, 1))):
        with closing(sqlite3.connect(path)) as db:
            db.executescript((_KEPT / f"{name}.sql").read_text("utf-8"))


def columns_of(path: Path) -> set[str]:
    """Return the columns of the table `assets` in a file of tables."""
    with closing(sqlite3.connect(path)) as db:
        return {name for _, name, *_ in db.execute("PRAGMA table_info(assets)")}


def add_smell(db: SqlConnection) -> None:
    """Add a column to the table `assets`."""
    db.execute("ALTER TABLE assets ADD COLUMN smell TEXT NOT NULL DEFAULT 'none'")


def fail_half_way(db: SqlConnection) -> None:
    """Add the column, then fail."""
    add_smell(db)
    raise RuntimeError("half-way")


def plant(patch: pytest.MonkeyPatch, *migrations: Migration) -> None:
    """Add migrations to the projection of assets, as a later release does."""
    patch.setattr(Assets, "migrations", (*Assets.migrations, *migrations))


def events() -> list[Event]:
    """Return the events of twelve assets of two jobs, one changed and one deleted."""
    made: list[Event] = [
        created(originator_id=asset_id(n), job_id=f"job_{n % 2}", node_id="node", workflow_id="w")
        for n in range(1, 13)
    ]
    label = described(originator_id=asset_id(3), job_id="job_1", private={"name": "dog.png"})
    return [
        started(job_id="job_1"),
        *made,
        label,
        deleted(originator_id=asset_id(4), job_id="job_0"),
    ]
