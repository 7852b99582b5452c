"""Bulk fill gives the same tables as following the log, or leaves a marked file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.ledger.domain.event import Event, Recorded
from asset_ledger.ledger.errors import PoisonEventError
from asset_ledger.ledger.log.codec import EVENTS, Codec, EventMapper
from asset_ledger.projections.projection import Projection, Statement
from asset_ledger.projections.rebuild.digest import rows
from asset_ledger.projections.runtime import bulk
from asset_ledger.projections.runtime.bulk import begin_bulk_fill, end_bulk_fill, fill
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS
from asset_ledger.projections.runtime.runner import BATCH, Runner
from asset_ledger.projections.runtime.start import follow
from asset_ledger.projections.runtime.store import Database
from asset_ledger.projections.runtime.table_files import SqliteDatabase
from asset_ledger.projections.tables.usage import Usage
from tests.builders import asset_id, created, deleted, described, finished, replaced, restored
from tests.projections.unreadable import FromTheFuture
from tests.projections.world import World, select, world

FILES = [("", PROJECTIONS), *((each.name, [each]) for each in FOLLOWING)]


def life(number: int) -> Iterator[Event]:
    """Yield the events of an asset: every third is changed and deleted, every sixth restored."""
    job, stream = f"job_{number % 7}", asset_id(number)
    private = {"name": f"cat {number}.png", "tags": ["t"], "metadata": {"seed": number}}
    sources = (asset_id(number - 1),) if number % 5 == 0 else ()
    yield created(originator_id=stream, job_id=job, private=private, derived_from=sources)
    if number % 3 == 0:
        yield described(originator_id=stream, job_id=job, private={"name": "dog.png"})
        yield replaced(originator_id=stream, originator_version=3, job_id=job, size=number)
        yield deleted(originator_id=stream, originator_version=4, job_id=job)
    if number % 6 == 0:
        yield restored(originator_id=stream, originator_version=5, job_id=job)


@pytest.fixture
def long(here: World) -> World:
    """A log of several batches."""
    events = [event for number in range(1, 1_000) for event in life(number)]
    here.append(*events, finished(job_id="job_1", originator_version=1))
    return here


def new(here: World, number: int, part: str, projections: list[Projection]) -> Runner:
    database = SqliteDatabase(here.folder, number, projections, part)
    migrate(database)
    return Runner(database, here.feed)


TABLES = ("assets", "jobs", "edges", "usage", "usage_blocks", "search_assets", "catalog")


def contents(database: Database) -> dict[str, list[Any]]:
    """Return every row of the existing tables, their schema, and their positions."""
    db = database.write
    existing = [name for name in TABLES if db.execute(f"PRAGMA table_info({name})").fetchall()]
    found: dict[str, list[Any]] = {name: list(rows(database, name)) for name in existing}
    if "assets" in found:
        found["json"] = db.execute("SELECT json FROM assets ORDER BY seq").fetchall()
    found["schema"] = db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    found["positions"] = db.execute("SELECT * FROM positions ORDER BY projection").fetchall()
    return found


@pytest.mark.parametrize(("part", "projections"), FILES)
def test_bulk_fill_gives_the_same_tables_as_following(
    long: World, part: str, projections: list[Projection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCHES_PER_TRANSACTION", 2)
    followed, filled = (new(long, number, part, projections) for number in (1, 2))

    followed.catch_up()
    begin_bulk_fill(filled.database)
    fill([filled])
    end_bulk_fill(filled.database)

    assert filled.position == long.feed.head()
    assert filled.database.state == "building"
    assert contents(filled.database) == contents(followed.database)
    for runner in (followed, filled):
        runner.close()


def test_bulk_fill_reads_the_log_once_for_all_files(
    long: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = long.feed.read

    def recording_read(after: int, limit: int, *, upto: int | None = None) -> object:
        read.append(after)
        return original(after, limit, upto=upto)

    monkeypatch.setattr(long.feed, "read", recording_read)
    runners = [new(long, 1, part, list(projections)) for part, projections in FILES]

    fill(runners)

    assert read == list(range(0, long.feed.head(), BATCH))
    assert {runner.position for runner in runners} == {long.feed.head()}
    for runner in runners:
        runner.close()


@pytest.fixture
def abandoned(long: World) -> World:
    """A generation whose files were left in the middle of their bulk fill."""
    for part, projections in FILES:
        runner = new(long, 1, part, list(projections))
        begin_bulk_fill(runner.database)
        runner.database.close()
    return long


def test_start_deletes_a_file_whose_bulk_fill_was_interrupted(abandoned: World) -> None:
    with abandoned.projections() as runner:
        assert (runner.database.number, runner.position) == (2, abandoned.feed.head())
        assert abandoned.tables.numbers() == [2]


def test_follow_rebuilds_a_file_whose_bulk_fill_was_interrupted(
    abandoned: World,
) -> None:
    runner = follow(abandoned.tables, 1, Usage(), abandoned.feed)

    assert (runner.database.state, runner.position) == ("ready", abandoned.feed.head())
    assert select(runner, "SELECT sum(count) FROM usage WHERE dimension = 'day'") == [(832,)]
    runner.close()


def test_bulk_filled_file_has_the_usual_pragmas(long: World) -> None:
    with long.projections() as runner:
        settings = ("journal_mode", "synchronous", "secure_delete", "cache_size")
        values = [select(runner, f"PRAGMA {setting}")[0][0] for setting in settings]

    assert values == ["wal", 1, 1, -32000]


def test_bulk_fill_stalls_before_a_poison_event(
    tmp_path: Path,
) -> None:
    with world(tmp_path, codec=Codec(EventMapper((*EVENTS, FromTheFuture)))) as here:
        here.append(*[created(originator_id=asset_id(n)) for n in range(1, BATCH + 500)])
        here.append(FromTheFuture(originator_id="9" * 32, originator_version=1, by="1"))
        here.append(*[created(originator_id=asset_id(n)) for n in range(5_000, 5_010)])

        with here.projections() as runner:
            assert (runner.state, runner.position) == ("stalled", BATCH + 500)
            live = (
                "FROM assets INDEXED BY assets_by_user WHERE user_id = '1' AND deleted_at IS NULL"
            )
            assert select(runner, f"SELECT count(*) {live}") == [(BATCH + 499,)]


class RefusingUsage(Usage):
    """Refuses every event."""

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        raise ValueError("not this one")


def test_bulk_fill_raises_the_error_of_one_file_and_fills_the_others(long: World) -> None:
    refusing, usage = new(long, 1, "usage", [RefusingUsage()]), new(long, 2, "usage", [Usage()])

    with pytest.raises(PoisonEventError, match="not this one"):
        fill([refusing, usage])

    assert (refusing.position, usage.position) == (0, long.feed.head())
    for runner in (refusing, usage):
        runner.close()


def test_bulk_fill_fills_files_at_different_positions(long: World) -> None:
    behind, ahead = (new(long, number, "usage", [Usage()]) for number in (1, 2))
    ahead.turn()

    fill([behind, ahead])

    assert contents(behind.database) == contents(ahead.database)
    for runner in (behind, ahead):
        runner.close()
