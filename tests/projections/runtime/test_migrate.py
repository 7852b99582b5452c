import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from asset_ledger.ledger.errors import NewerSchemaError
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.rebuild.build import rebuild
from asset_ledger.projections.runtime.database import Database
from asset_ledger.projections.runtime.migrate import migrate, migrations_of
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import start
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
from tests.projections.world import World, answers, digest_of, select, served

ROWS = 14


@pytest.fixture
def forward(older: World) -> Iterator[Runner]:
    """Today's tables, in the file from before the second migration."""
    with older.projections() as runner:
        yield runner


def schema_of(runner: Runner) -> dict[str, object]:
    """The columns of every table, the SQL of every index and projection."""
    made = select(runner, "SELECT name, type, sql FROM sqlite_master WHERE sql NOT NULL")
    return {
        name: select(runner, f'PRAGMA table_info("{name}")') if kind == "table" else sql
        for name, kind, sql in made
    }


def test_kept_file_has_the_baselines_alone_and_no_node_and_no_job(older: World) -> None:
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


def test_rows_from_before_get_their_node_and_job_from_the_log(forward: Runner) -> None:
    rows = select(forward, "SELECT node_id, count(*) FROM assets GROUP BY 1 ORDER BY 1")
    jobs = select(forward, "SELECT job_id, count(*) FROM assets GROUP BY 1 ORDER BY 1")
    shown = select(forward, "SELECT count(node_id), count(job_id) FROM nodetool_assets")

    assert rows == [(None, 2), ("node_0", 4), ("node_1", 4), ("node_2", 4)]
    assert jobs == [(None, 1), ("job_0", 6), ("job_1", 7)]
    assert shown == [(11, 12)]


def test_a_file_brought_forward_is_the_same_file_with_the_digest_of_a_new_one(
    forward: Runner, older: World
) -> None:
    shown, schema = answers(forward), schema_of(forward)
    assert (forward.database.number, forward.database.state) == (1, "ready")
    assert digest_of(forward) == DIGEST
    assert all({"node_id", "job_id"} < document.keys() for document in shown.values())
    forward.close()

    assert rebuild(older.folder, older.feed).digest == DIGEST
    with older.projections() as anew:
        assert (anew.database.number, answers(anew)) == (2, shown)
        assert schema_of(anew) == schema


async def test_a_file_brought_forward_answers_every_query(older: World) -> None:
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


def test_every_migration_is_applied_once_with_its_record(here: World, runner: Runner) -> None:
    recorded = select(runner, "SELECT name FROM schema_migrations ORDER BY name")

    assert recorded == [(each.name,) for each in migrations_of(PROJECTIONS)]
    assert migrate(runner.database) is False
    assert select(runner, "SELECT name FROM schema_migrations ORDER BY name") == recorded


def test_every_dated_file_belongs_to_a_projection() -> None:
    folder = Path(str(load(NEWEST).upgrade.__code__.co_filename)).parent
    dated = {path.stem for path in folder.glob("[0-9]*.py")}

    assert dated == {each.name for each in migrations_of((*PROJECTIONS, *FOLLOWING))}


def test_a_file_of_a_later_release_is_refused_by_both_revisions(here: World) -> None:
    with here.projections() as runner:
        runner.database.write.execute(
            "INSERT INTO schema_migrations VALUES ('20991231_000000_add_smell', 'then')"
        )

    with pytest.raises(NewerSchemaError, match=f"20991231_000000_add_smell.*{NEWEST}"):
        start(here.folder, here.feed)


def test_a_migration_that_needs_no_events_leaves_the_rows_where_they_are(
    older: World, forward: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward.close()
    plant(monkeypatch, Migration(PLANTED, add_smell, needs_events=False))

    with closing(Database(older.folder, 1, PROJECTIONS)) as database:
        assert migrate(database) is False
        smells = database.write.execute("SELECT smell, count(*) FROM assets GROUP BY 1").fetchall()
    assert smells == [("none", ROWS)]


def test_a_migration_that_fails_leaves_nothing_of_itself(
    older: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    *earlier, last = Assets.migrations
    monkeypatch.setattr(Assets, "migrations", (*earlier, last._replace(upgrade=fail_half_way)))

    with closing(Database(older.folder, 1, PROJECTIONS)) as database:
        with pytest.raises(RuntimeError, match="half-way"):
            migrate(database)
        assert "smell" not in columns_of(database.path)
        assert database.state == "ready"
        assert database.write.execute("SELECT count(*) FROM assets").fetchone() == (ROWS,)


def test_a_file_brought_forward_goes_on_with_live_events(older: World, forward: Runner) -> None:
    assert older.write(forward, created(originator_id=asset_id(200), node_id="new"))

    ((json,),) = select(forward, "SELECT json FROM assets WHERE node_id = 'new'")
    assert orjson.loads(json)["node_id"] == "new"
