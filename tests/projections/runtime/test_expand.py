"""A long log: a start expands the tables and lets them serve, and what the older rows lack is not
asked for until they are made anew."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest

from asset_ledger.ledger.errors import DataFolderError, NewerSchemaError, ViewBehindError
from asset_ledger.ledger.reading.feed import FeedUpTo
from asset_ledger.projections.migrations import Migration
from asset_ledger.projections.rebuild.build import rebuild
from asset_ledger.projections.rebuild.verify import verify_tables
from asset_ledger.projections.runtime import migrate as migrating
from asset_ledger.projections.runtime.kept_generation import kept_before
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import start
from asset_ledger.projections.serving import Views
from asset_ledger.projections.tables.assets import Assets
from tests.builders import asset_id, created
from tests.projections.before import FirstAssets, leave_behind
from tests.projections.releases import TODAY, restore
from tests.projections.runtime.test_migrate import add_smell
from tests.projections.test_releases import DIGEST
from tests.projections.world import World, answers, select, served, world

BEFORE_THUMBNAILS = "20260201_000000_find_assets_by_name"


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log is a long one."""
    monkeypatch.setattr(migrating, "LONG", 0)


@asynccontextmanager
async def reading(here: World) -> AsyncIterator[Views]:
    async with served(here) as server:
        yield server.views


@pytest.fixture
def older(tmp_path: Path, long: None) -> Iterator[World]:
    """A long log with the tables of a release whose assets had no thumbnails."""
    restore(BEFORE_THUMBNAILS, tmp_path)
    with world(tmp_path) as here:
        yield here


def thumbnails(runner: Runner) -> set[bool]:
    """Whether pictures say that they have a thumbnail."""
    pictures = [each for each in answers(runner).values() if each["content_type"] == "image/png"]
    return {each["thumb_url"] is not None for each in pictures if each["digest"]}


async def test_tables_that_lack_a_column_serve_at_once_and_take_new_facts(older: World) -> None:
    async with reading(older) as views:
        assert (views.generation.number, views.generation.expanded) == (1, True)
        assert views.generation.revision < TODAY
        assert views.position == 22
        page = await views.assets.page("1", {"node_id": ["node_0"]})
        assert len(orjson.loads(b"[%b]" % page.json)) == 4
        assert thumbnails(views.runner) == {False}

        older.write(views.runner, created(originator_id=asset_id(200)))

        assert thumbnails(views.runner) == {False, True}


async def test_a_rebuild_gives_the_rows_what_they_lack(older: World) -> None:
    async with reading(older):
        rebuilt = rebuild(older.folder, older.feed)

    assert rebuilt.digest == DIGEST
    async with reading(older) as views:
        assert (views.generation.number, views.generation.expanded) == (2, False)
        assert views.generation.revision == TODAY
        assert thumbnails(views.runner) == {True}


@pytest.mark.parametrize("filters", [{"node_id": ["node_0"]}, {"missing": ["node_id"]}])
async def test_a_filter_on_what_the_rows_lack_is_not_answered(
    older: World, monkeypatch: pytest.MonkeyPatch, filters: dict[str, list[str]]
) -> None:
    *earlier, last = Assets.migrations
    unfilled = last._replace(fills=("assets.node_id", "jobs.status"))
    monkeypatch.setattr(Assets, "migrations", (*earlier, unfilled))

    async with reading(older) as views:
        for asked in (
            views.assets.page("1", filters),
            views.assets.page("1", filters, sort="-name"),
            views.assets.count("1", filters),
            views.assets.matching("1", filters),
        ):
            with pytest.raises(ViewBehindError, match="node_id is being filled from the log"):
                await asked
        with pytest.raises(ViewBehindError, match="status is being filled"):
            await views.jobs.page("1", {"status": ["running"]}, sort="created_at", page_size=9)
        assert (await views.assets.page("1", {"workflow_id": ["w"]})).json
        assert (await views.jobs.page("1", {}, sort="created_at", page_size=9)).json


async def test_a_start_that_is_repeated_changes_nothing_more(older: World) -> None:
    for _ in range(2):
        async with reading(older) as views:
            assert (views.generation.number, views.generation.expanded) == (1, True)


async def test_a_log_that_is_short_is_read_before_anything_is_answered(
    older: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(older) as views:
        assert views.generation.expanded
    monkeypatch.setattr(migrating, "LONG", 1_000)

    async with reading(older) as views:
        assert (views.generation.number, views.generation.expanded) == (1, False)
        assert views.generation.revision == TODAY
        assert thumbnails(views.runner) == {True}


@pytest.mark.usefixtures("long")
async def test_rows_that_are_of_no_use_without_facts_are_filled_before_anything_is_answered(
    tmp_path: Path,
) -> None:
    restore("20260125_000000_create_jobs", tmp_path)

    with world(tmp_path) as here:
        async with reading(here) as views:
            assert (views.generation.expanded, views.generation.revision) == (False, TODAY)


class Smelling(FirstAssets):
    """The first release's assets, with one more column that is filled from the log."""

    migrations = (  # type: ignore[misc]
        *FirstAssets.migrations,
        Migration("20300101_000000_add_smell", add_smell, True, fills=("assets.smell",)),
    )


@pytest.mark.usefixtures("long")
def test_the_column_is_added_once_and_has_its_record_when_the_rows_have_it(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_behind(here)
    for _ in range(2):
        runner = start(here.folder, here.feed, projections=[Smelling()])
        assert migrating.unfilled(runner.database.expanded, [Smelling()]) == {"assets.smell"}
        assert select(runner, "SELECT count(*), max(smell) FROM assets") == [(12, "none")]
        runner.close()
    monkeypatch.setattr(migrating, "LONG", 1_000)

    runner = start(here.folder, here.feed, projections=[Smelling()])

    assert migrating.unfilled(runner.database.expanded, [Smelling()]) == set()
    assert "20300101_000000_add_smell" in runner.database.applied
    assert select(runner, "SELECT count(*) FROM assets") == [(12,)]
    runner.close()


@pytest.mark.usefixtures("long")
def test_a_file_that_a_later_release_has_expanded_is_refused_by_both_revisions(
    here: World,
) -> None:
    leave_behind(here)
    start(here.folder, here.feed, projections=[Smelling()]).close()

    with pytest.raises(NewerSchemaError, match=r"20300101_000000_add_smell.*20260101"):
        start(here.folder, here.feed, projections=[FirstAssets()])


def verified(here: World, scratch: Path) -> list[object]:
    return list(verify_tables(here.folder, scratch, FeedUpTo.of(here.feed), lambda *_: None))


async def test_tables_that_lack_something_are_not_gone_back_to_and_not_verified(
    older: World,
) -> None:
    async with reading(older):
        with TemporaryDirectory() as scratch, pytest.raises(DataFolderError, match="schema of"):
            verified(older, Path(scratch))
        rebuild(older.folder, older.feed)

    kept = kept_before(older.folder, 2)
    assert kept is not None
    assert not kept.usable


def test_an_expansion_that_fails_leaves_nothing_of_itself(
    older: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spill(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE assets ADD COLUMN smell TEXT")
        raise RuntimeError("half-way")

    *earlier, last = Assets.migrations
    monkeypatch.setattr(Assets, "migrations", (*earlier, last._replace(upgrade=spill)))

    with pytest.raises(RuntimeError, match="half-way"):
        start(older.folder, older.feed)

    with closing(sqlite3.connect(older.folder / "projections.g1.db")) as db:
        columns = {name for _, name, *_ in db.execute("PRAGMA table_info(assets)")}
        assert "smell" not in columns
        assert db.execute("SELECT count(*) FROM expanded_migrations").fetchone() == (0,)
