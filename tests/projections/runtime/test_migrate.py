import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from asset_ledger.ledger.errors import NewerSchemaError
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.rebuild.build import rebuild
from asset_ledger.projections.runtime.migrate import migrate, migrations_of
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import start
from asset_ledger.projections.runtime.table_files import SqliteDatabase
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
from tests.projections.world import World, digest_of, documents, select, served

ROWS = 14


@pytest.fixture
def migrated(older: World) -> Iterator[Runner]:
    """The file from before the second migration, migrated to the current schema."""
    with older.projections() as runner:
        yield runner


def schema_of(runner: Runner) -> dict[str, object]:
    """Return the columns of every table, and the SQL of every index and SQL view."""
    made = select(runner, "SELECT name, type, sql FROM sqlite_master WHERE sql NOT NULL")
    return {
        name: select(runner, f'PRAGMA table_info("{name}")') if kind == "table" else sql
        for name, kind, sql in made
    }


def test_stored_file_has_only_baseline_migrations_without_node_and_job(older: World) -> None:
    path = older.folder / "projections.g1.db"

    columns = columns_of(path)
    assert {"workflow_id", "parent_id"} < columns
    assert columns.isdisjoint({"node_id", "job_id"})
    with closing(sqlite3.connect(path)) as db:
        applied = {name for (name,) in db.execute("SELECT name FROM schema_migrations")}
        assert applied == {
            each.name for each in migrations_of(PROJECTIONS) if each.name.startswith(BASELINE)
        }
        assert db.execute("SELECT count(*) FROM nodetool_assets").fetchone() == (13,)
        documents = [orjson.loads(json) for (json,) in db.execute("SELECT json FROM assets")]
    assert len(documents) == ROWS
    assert not any({"node_id", "job_id"} & document.keys() for document in documents)


def test_older_rows_get_node_and_job_from_the_log(migrated: Runner) -> None:
    rows = select(migrated, "SELECT node_id, count(*) FROM assets GROUP BY 1 ORDER BY 1")
    jobs = select(migrated, "SELECT job_id, count(*) FROM assets GROUP BY 1 ORDER BY 1")
    shown = select(migrated, "SELECT count(node_id), count(job_id) FROM nodetool_assets")

    assert rows == [(None, 2), ("node_0", 4), ("node_1", 4), ("node_2", 4)]
    assert jobs == [(None, 1), ("job_0", 6), ("job_1", 7)]
    assert shown == [(11, 12)]


def test_migrated_file_keeps_its_number_and_has_the_digest_of_a_new_file(
    migrated: Runner, older: World
) -> None:
    shown, schema = documents(migrated), schema_of(migrated)
    assert (migrated.database.number, migrated.database.state) == (1, "ready")
    assert digest_of(migrated) == DIGEST
    assert all({"node_id", "job_id"} < document.keys() for document in shown.values())
    migrated.close()

    assert rebuild(older.tables, older.feed).digest == DIGEST
    with older.projections() as rebuilt:
        assert (rebuilt.database.number, documents(rebuilt)) == (2, shown)
        assert schema_of(rebuilt) == schema


async def test_migrated_file_answers_every_query(older: World) -> None:
    async with served(older) as server:
        projections = server.projections
        page = await projections.assets.page("1", {"node_id": ["node_0"]}, sort="-name")
        dog = await projections.assets.page("1", {"name": ["dog.png"]})
        cats = await projections.search.page("1", "katze", {}, page_size=100)
        sources = await projections.lineage.of_asset("1", asset_id(7), "up", 3)

    assert len(orjson.loads(b"[%b]" % page.json)) == 4
    assert orjson.loads(dog.json)["id"] == asset_id(3)
    assert cats.total == 10
    assert len(sources.json) == 3


def test_migrations_are_applied_and_recorded_once(here: World, runner: Runner) -> None:
    recorded = select(runner, "SELECT name FROM schema_migrations ORDER BY name")

    assert recorded == [(each.name,) for each in migrations_of(PROJECTIONS)]
    assert migrate(runner.database) is False
    assert select(runner, "SELECT name FROM schema_migrations ORDER BY name") == recorded


def test_every_migration_file_belongs_to_a_projection() -> None:
    folder = Path(str(load(NEWEST).upgrade.__code__.co_filename)).parent
    dated = {path.stem for path in folder.glob("[0-9]*.py")}

    assert dated == {each.name for each in migrations_of((*PROJECTIONS, *FOLLOWING))}


def test_file_of_a_later_release_is_refused_with_both_revisions(here: World) -> None:
    with here.projections() as runner:
        runner.database.write.execute(
            "INSERT INTO schema_migrations VALUES ('20991231_000000_add_smell', 'then')"
        )

    with pytest.raises(NewerSchemaError, match=f"20991231_000000_add_smell.*{NEWEST}"):
        start(here.tables, here.feed)


def test_migration_without_need_of_events_keeps_the_rows(
    older: World, migrated: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrated.close()
    plant(monkeypatch, Migration(PLANTED, add_smell, needs_events=False))

    with closing(SqliteDatabase(older.folder, 1, PROJECTIONS)) as database:
        assert migrate(database) is False
        smells = database.write.execute("SELECT smell, count(*) FROM assets GROUP BY 1").fetchall()
    assert smells == [("none", ROWS)]


def test_failed_migration_leaves_the_file_as_it_was(
    older: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    *earlier, last = Assets.migrations
    monkeypatch.setattr(Assets, "migrations", (*earlier, last._replace(upgrade=fail_half_way)))

    with closing(SqliteDatabase(older.folder, 1, PROJECTIONS)) as database:
        with pytest.raises(RuntimeError, match="half-way"):
            migrate(database)
        assert "smell" not in columns_of(database.path)
        assert database.state == "ready"
        assert database.write.execute("SELECT count(*) FROM assets").fetchone() == (ROWS,)


def test_migrated_file_takes_live_events(older: World, migrated: Runner) -> None:
    assert older.write(migrated, created(originator_id=asset_id(200), node_id="new"))

    ((json,),) = select(migrated, "SELECT json FROM assets WHERE node_id = 'new'")
    assert orjson.loads(json)["node_id"] == "new"
