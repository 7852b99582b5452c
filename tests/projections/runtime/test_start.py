import sqlite3
from pathlib import Path

import pytest

from asset_ledger.ledger.errors import PoisonEventError
from asset_ledger.ledger.log.codec import EVENTS, Codec, EventMapper
from asset_ledger.projections.rebuild.build import rebuild
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.table_files import TableFiles
from tests.builders import asset_id, created, deleted, restored
from tests.projections.before import events
from tests.projections.unreadable import FromTheFuture
from tests.projections.world import World, digest_of, file_of, select, world


def test_start_after_deleting_all_tables_gives_the_same_digest(here: World) -> None:
    with here.projections() as runner:
        here.write(runner, *events())
        value = digest_of(runner)
    for file in here.folder.glob("projections.*"):
        file.unlink()

    with here.projections() as runner:
        assert digest_of(runner) == value
        assert select(runner, "SELECT count(*) FROM assets") == [(12,)]


def test_rebuild_adopts_the_next_generation_and_keeps_the_previous(here: World) -> None:
    with here.projections() as runner:
        here.write(runner, *events())
        value = digest_of(runner)

    first = rebuild(here.tables, here.feed)
    assert (first.generation, first.position, first.digest) == (2, here.feed.head(), value)
    assert here.tables.numbers() == [1, 2]
    assert rebuild(here.tables, here.feed).generation == 3
    assert here.tables.numbers() == [2, 3]

    with here.projections() as runner:
        assert runner.database.number == 3


def test_rebuild_repairs_altered_rows(here: World) -> None:
    with here.projections() as runner:
        here.write(runner, *events())
        value = digest_of(runner)
        runner.database.write.execute("UPDATE assets SET size = 1, node_id = 'other'")
        assert digest_of(runner) != value

    assert rebuild(here.tables, here.feed).digest == value


def test_failed_rebuild_leaves_the_generation_in_use(tmp_path: Path) -> None:
    newer = Codec(EventMapper((*EVENTS, FromTheFuture)))
    with world(tmp_path, codec=newer) as here:
        with here.projections() as runner:
            here.write(runner, created())
        here.append(FromTheFuture(originator_id=asset_id(9), originator_version=1, by="1"))

        with pytest.raises(PoisonEventError, match="position 3"):
            rebuild(TableFiles(tmp_path), here.feed)

        with here.projections() as runner:
            assert (runner.database.number, runner.position) == (1, 2)
            assert TableFiles(tmp_path).numbers() == [1]


def test_rebuild_keeps_deleted_and_restored_assets_as_they_were(here: World) -> None:
    here.append(created(), created(originator_id=asset_id(2)))
    here.append(deleted(), deleted(originator_id=asset_id(2)), restored(originator_id=asset_id(2)))

    rebuild(here.tables, here.feed)

    with here.projections() as runner:
        live = select(runner, "SELECT id FROM assets WHERE deleted_at IS NULL")
        assert live == [(asset_id(2),)]


def test_generation_in_use_is_stored_as_ready(here: World, runner: Runner) -> None:
    db = sqlite3.connect(file_of(runner))

    assert db.execute("SELECT state FROM generation").fetchall() == [("ready",)]
    db.close()


def test_wal_of_a_deleted_file_is_not_replayed(here: World) -> None:
    with here.projections() as runner:
        here.write(runner, *events())
        value, path = digest_of(runner), file_of(runner)
        wal = Path(f"{path}-wal").read_bytes()
    path.unlink()
    Path(f"{path}-wal").write_bytes(wal)

    with here.projections() as runner:
        assert digest_of(runner) == value


@pytest.mark.parametrize("page", range(1, 12))
def test_start_recovers_from_a_damaged_page(here: World, page: int) -> None:
    with here.projections() as runner:
        here.write(runner, *events())
        path = file_of(runner)
    with path.open("r+b") as file:
        file.seek(page * 4096 - 4096)
        file.write(b"\xff" * 4096)
    here.append(*[created(originator_id=asset_id(n), node_id=f"n{n}") for n in range(100, 300)])

    with here.projections() as runner:
        assert (runner.error, runner.position) == (None, here.feed.head())
