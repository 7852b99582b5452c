from contextlib import closing
from pathlib import Path

import pytest

from asset_ledger.ledger.errors import DataFolderError, PoisonEventError
from asset_ledger.ledger.log.codec import EVENTS, Codec, EventMapper
from asset_ledger.projections.rebuild.build import adopt, build
from asset_ledger.projections.rebuild.comparison import GenerationComparison
from asset_ledger.projections.rebuild.difference import TableDifference
from asset_ledger.projections.runtime.generation import open_generation
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import follow
from asset_ledger.projections.runtime.store import in_use, next_number
from asset_ledger.projections.runtime.table_files import SqliteDatabase, TableFiles
from tests.builders import asset_id, created, deleted
from tests.projections.before import events
from tests.projections.unreadable import FromTheFuture
from tests.projections.world import World, digest_of, select, world


def compared(here: World) -> GenerationComparison:
    """Build a generation, which stays, and return its comparison with the one in use."""
    comparison = build(here.tables, next_number(here.tables), here.feed).comparison
    assert comparison is not None
    return comparison


def table(comparison: GenerationComparison, name: str) -> TableDifference:
    (found,) = [each for each in comparison.tables if each.table == name]
    return found


def catch_up_all(here: World, runner: Runner) -> None:
    """Catch up all files of the generation of this runner."""
    runner.catch_up()
    for projection in FOLLOWING:
        follow(here.tables, runner.database.number, projection, here.feed).close()


def test_built_generation_has_the_same_digest_and_is_not_in_use(
    here: World, runner: Runner
) -> None:
    here.write(runner, *events())
    value = digest_of(runner)

    built = build(here.tables, 2, here.feed)

    assert (built.digest, built.position) == (value, here.feed.head())
    assert built.comparison is not None
    assert [each.table for each in built.comparison.tables] == [
        *("jobs", "job_attempts", "node_runs", "assets", "edges"),
        *("usage", "usage_assets", "usage_blocks", "usage_changes", "usage_lost"),
        "usage_runs",
        *("search_assets", "catalog"),
    ]
    assert (built.comparison.differs, built.comparison.reasons) == (False, [])
    assert in_use(here.tables) == 1


def test_built_generation_has_every_index(here: World, runner: Runner) -> None:
    indexes = "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name"
    here.write(runner, *events())

    build(here.tables, 2, here.feed)

    with closing(open_generation(here.tables, 2, here.feed)) as generation:
        assert select(generation.own["tables"], indexes) == select(runner, indexes)


def test_comparison_names_differing_rows_and_columns(here: World, runner: Runner) -> None:
    here.write(runner, *events())
    catch_up_all(here, runner)
    db = runner.database.write
    ids = [id for (id,) in select(runner, "SELECT id FROM assets ORDER BY seq")]
    db.execute("UPDATE assets SET size = 1, name = 'other' WHERE id = ?", (ids[0],))
    db.execute("UPDATE assets SET name = ? WHERE id = ?", ("x" * 1_000, ids[1]))
    db.execute("DELETE FROM assets WHERE id = ?", (ids[2],))
    db.execute("INSERT INTO edges VALUES ('a', 'b', '1', NULL)")

    comparison = compared(here)

    assets, edges = table(comparison, "assets"), table(comparison, "edges")
    assert (assets.changed, assets.added, assets.removed) == (2, 1, 0)
    assert assets.columns == {"size": 1, "name": 2}
    assert (edges.removed, edges.before - edges.after) == (1, 1)
    assert comparison.rows == 4
    shown = {row.key["seq"]: row for row in assets.rows if row.change == "changed"}
    assert len(shown) == 2
    assert {row.columns["name"][0][:2] for row in shown.values()} == {"ot", "xx"}
    assert max(len(row.columns["name"][0]) for row in shown.values()) < 1_000
    document = comparison.document()
    assert document["differences"] == 4
    assert document["tables"][3]["rows"][0]["columns"]["name"].keys() == {"before", "after"}


def test_comparison_is_at_the_position_of_the_generation_in_use(
    here: World, runner: Runner
) -> None:
    here.write(runner, *events())
    position = runner.position
    here.append(*[created(originator_id=asset_id(n)) for n in range(100, 110)])

    built = build(here.tables, 2, here.feed)

    assert built.comparison is not None
    assert (built.comparison.position, built.comparison.differs) == (position, False)
    assert built.position == here.feed.head()


def test_comparison_names_new_and_lost_columns(here: World, runner: Runner) -> None:
    here.write(runner, *events())
    runner.database.write.execute("ALTER TABLE assets ADD COLUMN frame_rate REAL")
    runner.database.write.execute("ALTER TABLE jobs DROP COLUMN error")

    comparison = compared(here)

    assert table(comparison, "assets").lost_columns == ["frame_rate"]
    assert table(comparison, "jobs").new_columns == ["error"]
    assert (comparison.rows, comparison.differs) == (0, True)


def test_comparison_refuses_tables_of_another_log(here: World, tmp_path: Path) -> None:
    with here.projections() as runner:
        here.write(runner, *events())
        runner.database.write.execute("UPDATE positions SET log_id = 'other'")

    comparison = compared(here)

    assert "that this log does not have" in comparison.reasons[0]


def test_failed_build_leaves_no_file(tmp_path: Path) -> None:
    newer = Codec(EventMapper((*EVENTS, FromTheFuture)))
    with world(tmp_path, codec=newer) as here:
        here.append(FromTheFuture(originator_id=asset_id(9), originator_version=1, by="1"))

        with pytest.raises(PoisonEventError):
            build(TableFiles(tmp_path), 1, here.feed)

        assert list(tmp_path.glob("projections.*")) == []


def test_adopt_puts_a_generation_in_use_and_keeps_the_previous(here: World) -> None:
    with here.projections() as runner:
        here.write(runner, *events())
    for number in (2, 3):
        build(here.tables, number, here.feed)
        adopt(here.tables, number)

    assert here.tables.numbers() == [2, 3]
    with here.projections() as runner:
        assert runner.database.number == 3
        assert select(runner, "SELECT * FROM deferred_indexes") == []


def test_start_restores_deferred_indexes(here: World) -> None:
    here.append(*events())
    database = SqliteDatabase(here.folder, 1, PROJECTIONS)
    database.write.execute(
        "INSERT INTO deferred_indexes VALUES ('extra', 'CREATE INDEX extra ON jobs (status)')"
    )
    database.close()

    with here.projections() as runner:
        found = select(runner, "SELECT count(*) FROM sqlite_master WHERE name = 'extra'")

    assert found == [(1,)]


def test_generation_with_another_schema_is_refused(here: World) -> None:
    with here.projections() as runner:
        here.write(runner, *events())
        runner.database.write.execute(
            "DELETE FROM schema_migrations WHERE name = (SELECT max(name) FROM schema_migrations)"
        )

    with pytest.raises(DataFolderError, match=r"has the schema 2026.* and this release 2026"):
        open_generation(here.tables, 1, here.feed)


@pytest.mark.parametrize("missing", ["projections.g1.db", "projections.g1.usage.db"])
def test_generation_with_a_missing_file_is_refused(here: World, missing: str) -> None:
    here.append(created(), deleted())
    build(here.tables, 1, here.feed)
    (here.folder / missing).unlink()

    with pytest.raises(DataFolderError, match=f"there is no {missing}"):
        open_generation(here.tables, 1, here.feed)


def test_start_removes_files_of_an_interrupted_removal(here: World) -> None:
    for name in (
        "projections.g7.usage.db",
        "projections.g7.db-wal",
        "projections.g7.catalog.db-shm",
        "projections.g7.search.db-journal",
    ):
        (here.folder / name).touch()

    with here.projections():
        assert list(here.folder.glob("projections.g7.*")) == []
