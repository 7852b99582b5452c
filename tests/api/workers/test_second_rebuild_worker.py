"""Builds of a long log by two processes. `LONG` is shortened here, so that every log counts."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from asset_ledger.api.engine import engine_of
from asset_ledger.api.workers.second_rebuild_worker import MODULE, start_second_for
from asset_ledger.ledger.errors import RebuildError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.folder_lock import hold_build_lock
from asset_ledger.projections.rebuild import build as building
from asset_ledger.projections.rebuild.build import Rebuilt, build
from asset_ledger.projections.rebuild.second_worker import StartSecond
from asset_ledger.projections.runtime.registry import FOLLOWING
from asset_ledger.projections.runtime.start import follow
from asset_ledger.projections.runtime.table_files import TableFiles
from tests.builders import asset_id, created
from tests.journeys.processes import children_of, command_of
from tests.journeys.server import until
from tests.projections.before import events
from tests.projections.world import World, world


@pytest.fixture(autouse=True)
def _every_log_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "LONG", 1)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    """A data folder with events and with tables, which are all at the same position."""
    with world(tmp_path) as opened, opened.projections() as runner:
        opened.write(runner, *events())
        for projection in FOLLOWING:
            follow(opened.tables, runner.database.number, projection, opened.feed).close()
        yield opened


@contextmanager
def by_two(here: World) -> Iterator[StartSecond]:
    with hold_build_lock(here.folder) as lock:
        yield start_second_for(engine_of(here.folder, None), lock)


def built(here: World, number: int, start_second: StartSecond | None) -> Rebuilt:
    codec = Codec()
    feed = Feed.of_log(here.log, codec)
    return build(here.tables, number, feed, start_second=start_second)


def second_workers() -> list[int]:
    return [pid for pid in children_of(os.getpid()) if MODULE.encode() in command_of(pid)]


def test_two_processes_build_the_same_generation_as_one(here: World) -> None:
    here.append(*[created(originator_id=asset_id(n)) for n in range(100, 110)])
    one = built(here, 2, None)
    TableFiles(here.folder).remove(2)

    with by_two(here) as start_second:
        two = built(here, 2, start_second)

    assert one.comparison is not None
    assert two.comparison is not None
    assert (two.digest, two.position) == (one.digest, one.position)
    assert not two.comparison.differs
    assert {each.file for each in two.comparison.files} == {
        each.file for each in one.comparison.files
    }
    assert sorted(two.comparison.tables) == sorted(one.comparison.tables)


def test_a_difference_in_a_part_of_the_second_process_is_reported(here: World) -> None:
    with closing(here.tables.open(1, [FOLLOWING[0]], FOLLOWING[0].name)) as database:
        database.write.execute("UPDATE usage SET bytes = bytes + 1")

    with by_two(here) as start_second:
        comparison = built(here, 2, start_second).comparison

    assert comparison is not None
    assert [each.table for each in comparison.tables if each.differs] == ["usage"]


def test_an_error_of_the_second_process_ends_the_build_and_removes_it(here: World) -> None:
    @contextmanager
    def failing(number: int) -> Iterator[Connection]:
        with by_two(here) as start_second, start_second(number) as pipe:
            pipe.send("no position")
            yield pipe

    with pytest.raises(RebuildError, match="TypeError"):
        built(here, 2, failing)

    assert here.tables.numbers() == [1]


def test_the_end_of_the_second_process_ends_the_build_and_removes_it(here: World) -> None:
    @contextmanager
    def killed(number: int) -> Iterator[Connection]:
        with by_two(here) as start_second, start_second(number) as pipe:
            until(lambda: len(second_workers()) == 1, "it runs")
            os.kill(second_workers()[0], signal.SIGKILL)
            yield pipe

    with pytest.raises(RebuildError, match="a rebuild process died; start the rebuild again"):
        built(here, 2, killed)

    assert here.tables.numbers() == [1]
