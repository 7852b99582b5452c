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
    """SQLite may not take one more page: the same error as a full disk."""
    runner.database.write.execute("PRAGMA max_page_count = 1")


def free_disk(runner: Runner) -> None:
    runner.database.write.execute("PRAGMA max_page_count = 1000000")


def made(*numbers: int) -> list[Event]:
    return [created(originator_id=asset_id(n), private={"name": "x" * 4_000}) for n in numbers]


def test_a_group_is_shown_with_its_position_in_one_transaction(here: World, runner: Runner) -> None:
    assert here.write(runner, *made(1, 2))

    assert ids(runner) == [1, 2]
    kept = select(runner, "SELECT projection, position, log_id, leaf FROM positions ORDER BY 1")
    leaf = here.log.leaf_hash(3)
    assert kept == [(name, 3, here.feed.log_id, leaf) for name in ("assets", "jobs", "lineage")]


def test_an_event_that_no_row_can_be_made_of_is_refused_before_it_is_stored(runner: Runner) -> None:
    unprojectable = created(private={"name": "x", "duration": "long"})

    with pytest.raises(PoisonEventError, match="position 7"):
        runner.prepare(recorded(unprojectable, first=7))


def test_a_full_disk_stalls_the_projection_and_the_next_write_takes_it_from_the_log(
    here: World, runner: Runner
) -> None:
    fill_disk(runner)
    assert not here.write(runner, *made(1, 2, 3))
    assert not here.write(runner, *made(4))
    assert (runner.state, runner.position, ids(runner)) == ("stalled", 1, [])
    assert "full" in str(runner.error)

    free_disk(runner)

    assert here.write(runner, *made(5))
    assert (runner.state, runner.position, ids(runner)) == ("live", 6, [1, 2, 3, 4, 5])


def test_a_stalled_projection_recovers_by_a_turn_without_a_write(
    here: World, runner: Runner
) -> None:
    fill_disk(runner)
    here.write(runner, *made(1))
    free_disk(runner)

    runner.turn()

    assert (runner.state, ids(runner)) == ("live", [1])


def test_a_write_waits_for_one_batch_of_what_the_projection_missed_and_no_more(
    here: World, runner: Runner
) -> None:
    here.append(*made(*range(1, 2 * BATCH - 5)))

    assert not here.write(runner, *made(5_000))
    assert runner.position == 1 + BATCH
    assert here.write(runner, *made(5_001))


def test_a_group_that_a_turn_took_already_is_not_shown_twice(here: World, runner: Runner) -> None:
    appended = here.append(*made(1, 2), prepare=runner.prepare)
    runner.turn()

    assert runner.apply([each.prepared for each in appended], 3, appended[-1].leaf)
    assert ids(runner) == [1, 2]


def test_a_command_that_was_lost_on_the_way_is_taken_from_the_log(
    here: World, runner: Runner
) -> None:
    here.append(*made(1))

    assert here.write(runner, *made(2))
    assert ids(runner) == [1, 2]


@pytest.fixture
def poisoned(tmp_path: Path) -> World:
    newer = Codec(EventMapper((*EVENTS, FromTheFuture)))
    return World(tmp_path, codec=newer)


def test_a_poison_event_stalls_the_projection_at_the_event_before_it(poisoned: World) -> None:
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


async def test_waiting_for_a_position_ends_when_another_thread_shows_it(
    here: World, runner: Runner
) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(runner.wait_for(n, 30)) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        group.create_task(asyncio.to_thread(here.write, runner, *made(1, 2)))

    assert all(task.done() for task in waiting)


async def test_waiting_for_a_position_that_does_not_come_is_refused(runner: Runner) -> None:
    with pytest.raises(ProjectionBehindError, match="position 1, not 2 yet"):
        await runner.wait_for(2, 0)


def test_tables_of_another_log_are_made_anew(tmp_path: Path) -> None:
    with world(tmp_path) as first, first.projections() as runner:
        first.write(runner, *made(1))
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    with world(tmp_path, log_id="cd" * 16) as second:
        second.append(*made(2))

        with second.projections() as runner:
            assert ids(runner) == [2]
            assert runner.database.number == 2


def test_tables_ahead_of_a_log_restored_from_a_backup_are_made_anew(tmp_path: Path) -> None:
    with world(tmp_path) as before:
        before.append(*made(1))
    backup = (tmp_path / "ledger.db").read_bytes()
    with world(tmp_path) as later, later.projections() as runner:
        later.write(runner, *made(2, 3))
    (tmp_path / "ledger.db").write_bytes(backup)

    with world(tmp_path) as restored, restored.projections() as runner:
        assert ids(runner) == [1]


def test_tables_of_another_past_of_the_same_log_are_made_anew(tmp_path: Path) -> None:
    with world(tmp_path):
        pass
    backup = (tmp_path / "ledger.db").read_bytes()
    with world(tmp_path) as one_way, one_way.projections() as runner:
        one_way.write(runner, *made(1))
    (tmp_path / "ledger.db").write_bytes(backup)
    with world(tmp_path) as other_way:
        other_way.append(*made(2))

        with other_way.projections() as runner:
            assert ids(runner) == [2]


def test_progress_is_told_up_to_the_end_of_the_log(here: World) -> None:
    here.append(*made(*range(1, BATCH + 5)))
    told: list[tuple[int, int]] = []

    runner = start(here.folder, here.feed, lambda _, done, target: told.append((done, target)))
    runner.database.close()

    end = BATCH + 5
    assert told[0] == (BATCH, end)
    assert told[-1] == (end, end)


def test_one_event_at_a_time_or_all_at_once_gives_the_same_digest(here: World) -> None:
    with here.projections() as runner:
        for number in range(1, 40):
            here.write(runner, *made(number))
        value = digest_of(runner)
    for file in here.folder.glob("projections.*"):
        file.unlink()

    with here.projections() as runner:
        assert digest_of(runner) == value
