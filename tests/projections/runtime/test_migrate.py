import sqlite3
from pathlib import Path

import orjson
import pytest

from asset_ledger.ledger.errors import NewerSchemaError
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.runtime.database import Database
from asset_ledger.projections.runtime.migrate import migrate, migrations_of, revision_of
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import start
from tests.builders import asset_id, created
from tests.projections.before import FirstAssets, leave_behind
from tests.projections.world import World, answers, digest_of, select

NEWEST = revision_of(migrations_of(PROJECTIONS))


@pytest.fixture
def forward(here: World) -> Runner:
    """Today's views, in the file that the first release left."""
    leave_behind(here)
    return start(here.folder, here.feed)


def test_the_first_release_knew_no_node_and_no_job(here: World) -> None:
    path = leave_behind(here)

    db = sqlite3.connect(path)
    columns = {name for _, name, *_ in db.execute("PRAGMA table_info(assets)")}
    assert {"workflow_id", "parent_id"} < columns
    assert columns.isdisjoint({"node_id", "job_id"})
    assert db.execute("SELECT count(*) FROM nodetool_assets").fetchone() == (12,)
    db.close()


def test_rows_from_before_get_their_node_and_job_from_the_log(forward: Runner) -> None:
    rows = select(forward, "SELECT node_id, job_id, count(*) FROM assets GROUP BY 1, 2 ORDER BY 2")
    jobs = select(forward, "SELECT job_id, status, assets FROM jobs ORDER BY 1")
    forward.database.close()

    assert rows == [("node", "job_0", 6), ("node", "job_1", 6)]
    assert jobs == [("job_0", "unframed", 5), ("job_1", "running", 6)]


def test_a_file_brought_forward_is_the_same_file_with_the_digest_of_a_new_one(
    forward: Runner, here: World
) -> None:
    value, path = digest_of(forward), forward.database.path
    assert (forward.database.number, forward.database.state) == (1, "ready")
    assert all(asset["node_id"] == "node" for asset in answers(forward).values())
    forward.database.close()
    path.unlink()

    with here.views() as anew:
        assert digest_of(anew) == value


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
    with here.views() as runner:
        runner.database.write.execute(
            "INSERT INTO schema_migrations VALUES ('20991231_000000_add_smell', 'then')"
        )

    with pytest.raises(NewerSchemaError, match=f"20991231_000000_add_smell.*{NEWEST}"):
        start(here.folder, here.feed)


class Later(FirstAssets):
    """A third party's projection, or a later release: the first one and one more migration."""

    def __init__(self, migration: Migration) -> None:
        self.migrations = (*FirstAssets.migrations, migration)  # type: ignore[misc]


def add_smell(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE assets ADD COLUMN smell TEXT NOT NULL DEFAULT 'none'")


def spill(db: sqlite3.Connection) -> None:
    add_smell(db)
    raise RuntimeError("half-way")


def opened(here: World, migration: Migration) -> Database:
    return Database(here.folder, 1, [Later(migration)])


def test_a_migration_that_needs_no_facts_leaves_the_rows_where_they_are(here: World) -> None:
    leave_behind(here)
    database = opened(here, Migration("20300101_000000_add_smell", add_smell, needs_facts=False))

    assert migrate(database) is False
    assert database.write.execute("SELECT DISTINCT smell FROM assets").fetchall() == [("none",)]
    database.close()


def test_a_migration_that_fails_leaves_nothing_of_itself(here: World) -> None:
    leave_behind(here)
    database = opened(here, Migration("20300101_000000_add_smell", spill, needs_facts=True))

    with pytest.raises(RuntimeError, match="half-way"):
        migrate(database)

    names = [name for _, name, *_ in database.write.execute("PRAGMA table_info(assets)")]
    assert "smell" not in names
    assert database.state == "ready"
    assert database.write.execute("SELECT count(*) FROM assets").fetchone() == (12,)
    database.close()


def test_a_file_brought_forward_goes_on_with_live_facts(here: World, forward: Runner) -> None:
    assert here.write(forward, created(originator_id=asset_id(50), node_id="new"))

    ((json,),) = select(forward, "SELECT json FROM assets WHERE node_id = 'new'")
    forward.database.close()
    assert orjson.loads(json)["node_id"] == "new"
