import asyncio
from pathlib import Path

import pytest

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.errors import PoisonEventError, ProjectionBehindError
from asset_ledger.ledger.log.codec import EVENTS, Codec, EventMapper
from asset_ledger.projections.runtime.runner import BATCH, Runner
from asset_ledger.projections.runtime.start import start
from tests.builders import asset_id, created, recorded
from tests.projections.unreadable import FromTheFuture
from tests.projections.world import World, digest_of, select, world


def ids(runner: Runner) -> list[int]:
    return [int(each, 16) for (each,) in select(runner, "SELECT id FROM assets ORDER BY seq")]


def fill_disk(runner: Runner) -> None:
    """Allow SQLite no further page: the same error as a full disk."""
    runner.database.write.execute("PRAGMA max_page_count = 1")


def free_disk(runner: Runner) -> None:
    runner.database.write.execute("PRAGMA max_page_count = 1000000")


def made(*numbers: int) -> list[Event]:
    return [created(originator_id=asset_id(n), private={"name": "x" * 4_000}) for n in numbers]


def test_rows_of_a_group_are_written_with_their_position(here: World, runner: Runner) -> None:
    assert here.write(runner, *made(1, 2))

    assert ids(runner) == [1, 2]
    stored = select(runner, "SELECT projection, position, log_id, leaf FROM positions ORDER BY 1")
    leaf = here.log.leaf_hash(3)
    assert stored == [(name, 3, here.feed.log_id, leaf) for name in ("assets", "jobs", "lineage")]


def test_prepare_refuses_an_event_that_a_projection_cannot_take(runner: Runner) -> None:
    unprojectable = created(private={"name": "x", "duration": "long"})

    with pytest.raises(PoisonEventError, match="position 7"):
        runner.prepare(recorded(unprojectable, first=7))


def test_write_after_a_full_disk_catches_up_from_the_log(here: World, runner: Runner) -> None:
    fill_disk(runner)
    assert not here.write(runner, *made(1, 2, 3))
    assert not here.write(runner, *made(4))
    assert (runner.state, runner.position, ids(runner)) == ("stalled", 1, [])
    assert "full" in str(runner.error)

    free_disk(runner)

    assert here.write(runner, *made(5))
    assert (runner.state, runner.position, ids(runner)) == ("live", 6, [1, 2, 3, 4, 5])


def test_stalled_tables_recover_with_a_turn(here: World, runner: Runner) -> None:
    fill_disk(runner)
    here.write(runner, *made(1))
    free_disk(runner)

    runner.turn()

    assert (runner.state, ids(runner)) == ("live", [1])


def test_write_to_lagging_tables_takes_one_batch_at_most(here: World, runner: Runner) -> None:
    here.append(*made(*range(1, 2 * BATCH - 5)))

    assert not here.write(runner, *made(5_000))
    assert runner.position == 1 + BATCH
    assert here.write(runner, *made(5_001))


def test_group_taken_by_a_turn_is_not_written_twice(here: World, runner: Runner) -> None:
    appended = here.append(*made(1, 2), prepare=runner.prepare)
    runner.turn()

    assert runner.apply([each.prepared for each in appended], 3, appended[-1].leaf)
    assert ids(runner) == [1, 2]


def test_events_missed_by_the_tables_are_taken_from_the_log(here: World, runner: Runner) -> None:
    here.append(*made(1))

    assert here.write(runner, *made(2))
    assert ids(runner) == [1, 2]


@pytest.fixture
def poisoned(tmp_path: Path) -> World:
    newer = Codec(EventMapper((*EVENTS, FromTheFuture)))
    return World(tmp_path, codec=newer)


def test_tables_stall_before_a_poison_event(poisoned: World) -> None:
    poison = FromTheFuture(originator_id=asset_id(9), originator_version=1, by="1")
    poisoned.append(*made(1, 2), poison, *made(3))

    with poisoned.projections() as runner:
        assert (runner.state, runner.position, ids(runner)) == ("stalled", 3, [1, 2])
        assert isinstance(runner.error, PoisonEventError)
        assert runner.error.position == 4
        assert "asset.dreamt" in runner.error.reason
        assert not poisoned.write(runner, *made(4))
        assert runner.position == 3
    poisoned.log.close()


async def test_waiting_ends_when_another_thread_writes_the_position(
    here: World, runner: Runner
) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(runner.wait_for(n, 30)) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        group.create_task(asyncio.to_thread(here.write, runner, *made(1, 2)))

    assert all(task.done() for task in waiting)


async def test_waiting_for_a_missing_position_times_out(runner: Runner) -> None:
    with pytest.raises(ProjectionBehindError, match="position 1, not 2 yet"):
        await runner.wait_for(2, 0)


def test_tables_of_another_log_are_rebuilt(tmp_path: Path) -> None:
    with world(tmp_path) as first, first.projections() as runner:
        first.write(runner, *made(1))
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    with world(tmp_path, log_id="cd" * 16) as second:
        second.append(*made(2))

        with second.projections() as runner:
            assert ids(runner) == [2]
            assert runner.database.number == 2


def test_tables_ahead_of_a_restored_log_are_rebuilt(tmp_path: Path) -> None:
    with world(tmp_path) as before:
        before.append(*made(1))
    backup = (tmp_path / "ledger.db").read_bytes()
    with world(tmp_path) as later, later.projections() as runner:
        later.write(runner, *made(2, 3))
    (tmp_path / "ledger.db").write_bytes(backup)

    with world(tmp_path) as restored, restored.projections() as runner:
        assert ids(runner) == [1]


def test_tables_of_a_diverged_copy_of_the_log_are_rebuilt(tmp_path: Path) -> None:
    with world(tmp_path):
        pass
    backup = (tmp_path / "ledger.db").read_bytes()
    with world(tmp_path) as first, first.projections() as runner:
        first.write(runner, *made(1))
    (tmp_path / "ledger.db").write_bytes(backup)
    with world(tmp_path) as second:
        second.append(*made(2))

        with second.projections() as runner:
            assert ids(runner) == [2]


def test_start_reports_progress_up_to_the_end_of_the_log(here: World) -> None:
    here.append(*made(*range(1, BATCH + 5)))
    reported: list[tuple[int, int]] = []

    runner = start(here.tables, here.feed, lambda _, done, target: reported.append((done, target)))
    runner.database.close()

    end = BATCH + 5
    assert reported[0] == (BATCH, end)
    assert reported[-1] == (end, end)


def test_single_events_and_one_batch_give_the_same_digest(here: World) -> None:
    with here.projections() as runner:
        for number in range(1, 40):
            here.write(runner, *made(number))
        value = digest_of(runner)
    for file in here.folder.glob("projections.*"):
        file.unlink()

    with here.projections() as runner:
        assert digest_of(runner) == value
