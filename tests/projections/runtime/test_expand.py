"""With a long log, a start expands the tables and serves them.

Queries of the new columns are refused until a rebuild fills them.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest

from asset_ledger.ledger.errors import DataFolderError, NewerSchemaError, ProjectionBehindError
from asset_ledger.ledger.reading.feed import FeedUpTo
from asset_ledger.ledger.storage.sqlite import open_reader
from asset_ledger.projections.migrations import Migration
from asset_ledger.projections.queries.compare import AttemptName
from asset_ledger.projections.queries.job_list import JobQuery
from asset_ledger.projections.queries.usage import UsageQuery
from asset_ledger.projections.rebuild.build import rebuild
from asset_ledger.projections.rebuild.verify import verify_tables
from asset_ledger.projections.runtime import migrate as migrating
from asset_ledger.projections.runtime.previous_generation import find_previous
from asset_ledger.projections.runtime.registry import PROJECTIONS
from asset_ledger.projections.runtime.start import start
from asset_ledger.projections.serving import Projections
from asset_ledger.projections.tables.assets import Assets
from tests.builders import asset_id, created
from tests.projections.before import (
    BASELINE,
    DIGEST,
    NEWEST,
    PLANTED,
    add_smell,
    columns_of,
    fail_half_way,
    plant,
)
from tests.projections.world import World, select, served

SMELL = Migration(PLANTED, add_smell, needs_events=True, backfills=("assets.smell",))

pytestmark = pytest.mark.usefixtures("long")


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every log count as long."""
    monkeypatch.setattr(migrating, "LONG", 0)


@asynccontextmanager
async def reading(here: World) -> AsyncIterator[Projections]:
    async with served(here) as server:
        yield server.projections


def read(here: World, sql: str, number: int = 1) -> list[Any]:
    """Return rows of a generation, read beside the runner that fills it."""
    with closing(open_reader(here.folder / f"projections.g{number}.db")) as db:
        return db.execute(sql).fetchall()


def count_with_node(here: World, number: int = 1) -> int:
    """Return how many rows have a node."""
    ((count,),) = read(here, "SELECT count(node_id) FROM assets", number)
    return int(count)


async def test_expanded_tables_serve_at_once_and_take_new_events(older: World) -> None:
    async with served(older) as server:
        projections = server.projections
        assert (projections.generation.number, projections.generation.expanded) == (1, True)
        assert projections.generation.revision.startswith(BASELINE)
        assert projections.position == 22
        page = await projections.assets.page("1", {"workflow_id": ["w"]})
        assert len(orjson.loads(b"[%b]" % page.json)) == 9
        assert count_with_node(older) == 0

        server.write(created(originator_id=asset_id(200), node_id="new"))

        assert count_with_node(older) == 1
        found = await projections.assets.find("1", asset_id(200))
        assert orjson.loads(found.json)["node_id"] == "new"


async def test_rebuild_fills_the_columns_that_rows_lack(older: World) -> None:
    async with reading(older):
        rebuilt = rebuild(older.tables, older.feed)

    assert rebuilt.digest == DIGEST
    async with reading(older) as projections:
        assert (projections.generation.number, projections.generation.expanded) == (2, False)
        assert (projections.generation.revision, projections.generation.pending_backfill) == (
            NEWEST,
            set(),
        )
        assert count_with_node(older, 2) == 12
        page = await projections.assets.page("1", {"node_id": ["node_0"]})
        assert len(orjson.loads(b"[%b]" % page.json)) == 4


@pytest.mark.parametrize(
    ("filters", "column"),
    [
        ({"node_id": ["node_0"]}, "node_id"),
        ({"missing": ["node_id"]}, "node_id"),
        ({"job_id": ["job_1"]}, "job_id"),
        ({"missing": ["job_id"]}, "job_id"),
    ],
)
async def test_filter_on_a_pending_column_is_refused(
    older: World, filters: dict[str, list[str]], column: str
) -> None:
    async with reading(older) as projections:
        for query in (
            projections.assets.page("1", filters),
            projections.assets.page("1", filters, sort="-name"),
            projections.assets.count("1", filters),
            projections.assets.matching("1", filters),
        ):
            with pytest.raises(
                ProjectionBehindError, match=f"{column} is being filled from the log"
            ):
                await query
        assert (await projections.assets.page("1", {"workflow_id": ["w"]})).json


@pytest.mark.parametrize(
    ("group_by", "filters"),
    [("content_type", {"job_id": ["job_1"]}), ("node_id", {"workflow_id": ["w"]})],
)
async def test_usage_by_a_pending_column_is_refused(
    older: World, group_by: str, filters: dict[str, list[str]]
) -> None:
    async with reading(older) as projections:
        with pytest.raises(ProjectionBehindError, match="_id is being filled from the log"):
            await projections.usage.page(UsageQuery("1", (group_by,), filters, "key"), page_size=9)
        by_type = UsageQuery("1", ("content_type",), {"workflow_id": ["w"]}, "key")
        assert (await projections.usage.page(by_type, page_size=9)).json
        assert (
            await projections.usage.page(UsageQuery("1", ("node_id",), {}, "key"), page_size=9)
        ).json


async def test_job_comparison_is_refused_while_asset_columns_are_pending(older: World) -> None:
    async with reading(older) as projections:
        with pytest.raises(ProjectionBehindError, match="attempt is being filled from the log"):
            await projections.comparisons.page("1", AttemptName("job_0"), AttemptName("job_1"))


async def test_filter_on_a_pending_column_of_jobs_is_refused(
    older: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, SMELL._replace(backfills=("jobs.status",)))

    async with reading(older) as projections:
        with pytest.raises(ProjectionBehindError, match="status is being filled"):
            await projections.jobs.page(JobQuery("1", {"status": ["running"]}), page_size=9)
        assert (await projections.jobs.page(JobQuery("1", {}), page_size=9)).json


async def test_rows_with_only_outdated_json_answer_every_filter(
    older: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "LONG", 1_000)
    start(older.tables, older.feed).close()
    monkeypatch.setattr(migrating, "LONG", 0)
    plant(monkeypatch, Migration(PLANTED, lambda _: None, needs_events=True, backfills=()))

    async with reading(older) as projections:
        assert (projections.generation.expanded, projections.generation.pending_backfill) == (
            True,
            set(),
        )
        assert (await projections.assets.page("1", {"node_id": ["node_0"]})).json
        rebuild(older.tables, older.feed)
    async with reading(older) as projections:
        assert (projections.generation.expanded, projections.generation.revision) == (
            False,
            PLANTED,
        )


async def test_repeated_start_changes_nothing(older: World) -> None:
    for _ in range(2):
        async with reading(older) as projections:
            assert (projections.generation.number, projections.generation.expanded) == (1, True)


async def test_short_log_is_read_before_the_tables_serve(
    older: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(older) as projections:
        assert projections.generation.expanded
    monkeypatch.setattr(migrating, "LONG", 1_000)

    async with reading(older) as projections:
        assert (projections.generation.number, projections.generation.expanded) == (1, False)
        assert projections.generation.revision == NEWEST
        assert count_with_node(older) == 12


async def test_tables_without_backfills_are_filled_before_they_serve(
    older: World,
) -> None:
    with closing(sqlite3.connect(older.folder / "projections.g1.db")) as db:
        db.executescript(
            "DROP TABLE jobs; DROP TABLE job_attempts; DROP TABLE node_runs; DROP TABLE edges;"
            " DELETE FROM positions WHERE projection <> 'assets';"
            " DELETE FROM schema_migrations WHERE name <> '20260101_000000_create_assets'"
        )

    async with reading(older) as projections:
        assert (projections.generation.number, projections.generation.expanded) == (1, False)
        assert projections.generation.revision == NEWEST
        assert read(older, "SELECT count(*), sum(assets) FROM jobs") == [(3, 12)]


def test_column_is_added_once_and_recorded_when_the_rows_are_filled(
    older: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, SMELL)
    for _ in range(2):
        runner = start(older.tables, older.feed)
        assert "assets.smell" in migrating.pending_backfill(runner.database.expanded, PROJECTIONS)
        assert select(runner, "SELECT count(*), max(smell) FROM assets") == [(14, "none")]
        runner.close()
    monkeypatch.setattr(migrating, "LONG", 1_000)

    runner = start(older.tables, older.feed)

    assert migrating.pending_backfill(runner.database.expanded, PROJECTIONS) == set()
    assert PLANTED in runner.database.applied
    assert select(runner, "SELECT count(*) FROM assets") == [(14,)]
    runner.close()


def test_file_expanded_by_a_later_release_is_refused_with_both_revisions(
    older: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        plant(later, SMELL)
        start(older.tables, older.feed).close()

    with pytest.raises(NewerSchemaError, match=f"{PLANTED}.*{NEWEST}"):
        start(older.tables, older.feed)


def verified(here: World, scratch: Path) -> list[object]:
    return list(verify_tables(here.folder, scratch, FeedUpTo.of(here.feed), lambda *_: None))


async def test_expanded_tables_are_neither_verified_nor_usable_for_a_rollback(
    older: World,
) -> None:
    async with reading(older):
        with TemporaryDirectory() as scratch, pytest.raises(DataFolderError, match="schema of"):
            verified(older, Path(scratch))
        rebuild(older.tables, older.feed)

    previous = find_previous(older.tables, 2)
    assert previous is not None
    assert not previous.usable


def test_failed_expansion_leaves_the_file_as_it_was(
    older: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    *earlier, last = Assets.migrations
    monkeypatch.setattr(Assets, "migrations", (*earlier, last._replace(upgrade=fail_half_way)))

    with pytest.raises(RuntimeError, match="half-way"):
        start(older.tables, older.feed)

    path = older.folder / "projections.g1.db"
    assert "smell" not in columns_of(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM expanded_migrations").fetchone() == (0,)
