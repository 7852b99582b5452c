"""An event that a projection cannot take: it stands still there, alone, until the event is set aside;
and whoever makes the tables again leaves out what was left out."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.domain.ledger import ProjectionSkipped
from asset_ledger.ledger.errors import PoisonEventError
from asset_ledger.ledger.log.codec import EVENTS, Codec, EventMapper
from asset_ledger.projections.migrations import Migration
from asset_ledger.projections.projection import Statement
from asset_ledger.projections.rebuild.build import rebuild
from asset_ledger.projections.runtime.registry import PROJECTIONS
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import follow, start
from asset_ledger.projections.tables.usage import Usage
from tests.builders import asset_id, created
from tests.projections.unreadable import FromTheFuture
from tests.projections.world import LOG_ID, World, digest_of, select, world

POISON: Final = 3
OURS: Final = ["jobs", "assets", "lineage"]


@pytest.fixture
def poisoned(tmp_path: Path) -> Iterator[World]:
    """A log whose third event is of a later release, between two assets."""
    newer = Codec(EventMapper((*EVENTS, FromTheFuture)))
    with world(tmp_path, codec=newer) as here:
        poison = FromTheFuture(originator_id=asset_id(9), originator_version=1, by="1")
        here.append(created(), poison, created(originator_id=asset_id(2)))
        yield here


def set_aside(here: World, position: int, *projections: str) -> None:
    """Record that these go on without an event."""
    known = len(here.log.stream(LOG_ID))
    for version, projection in enumerate(projections, known + 1):
        here.append(
            ProjectionSkipped(
                originator_id=LOG_ID,
                originator_version=version,
                by="1",
                projection=projection,
                position=position,
                reason="a test",
            )
        )


def ids(runner: Runner) -> list[int]:
    return [int(each, 16) for (each,) in select(runner, "SELECT id FROM assets ORDER BY seq")]


def test_nobody_passes_an_event_that_nobody_set_aside(poisoned: World) -> None:
    with poisoned.projections() as runner:
        assert (runner.position, ids(runner)) == (POISON - 1, [1])
        assert isinstance(runner.error, PoisonEventError)
        assert (runner.error.position, runner.error.cause) == (POISON, "unknown topic")
        assert runner.refusing(POISON) == OURS
        assert runner.refusing(POISON - 1) == []
        assert runner.refusing(POISON + 1) == []
        assert runner.refusing(POISON + 100) == []


def test_an_event_that_was_set_aside_is_passed_by_the_projections_that_stood_before_it(
    poisoned: World,
) -> None:
    with poisoned.projections() as runner:
        set_aside(poisoned, POISON, *OURS)
        runner.catch_up()

        assert (runner.state, ids(runner)) == ("live", [1, 2])
        assert runner.position == poisoned.feed.head()
        assert runner.refusing(POISON) == []


def test_every_rebuild_leaves_out_what_was_set_aside_and_gives_the_same_digest(
    poisoned: World,
) -> None:
    with poisoned.projections() as runner:
        set_aside(poisoned, POISON, *OURS, "usage", "search", "catalog")
        runner.catch_up()
        live = digest_of(runner)

    first, second = (rebuild(poisoned.folder, poisoned.feed) for _ in range(2))

    assert first.digest == second.digest == live


def test_a_projection_goes_on_only_without_what_it_set_aside_itself(poisoned: World) -> None:
    with poisoned.projections() as runner:
        set_aside(poisoned, POISON, "usage", "jobs", "assets")
        runner.catch_up()
        assert (runner.position, runner.refusing(POISON)) == (POISON - 1, ["lineage"])

        usage = follow(poisoned.folder, 1, Usage(), poisoned.feed)
        assert (usage.state, usage.position) == ("live", poisoned.feed.head())
        usage.close()


def test_a_release_that_can_read_the_event_leaves_it_out_all_the_same(poisoned: World) -> None:
    set_aside(poisoned, POISON, "choosy")
    runner = start(poisoned.folder, poisoned.feed, projections=[Choosy(refused=99)])
    value = digest_of_choosy(runner)
    runner.close()
    for file in poisoned.folder.glob("projections.*"):
        file.unlink()

    poisoned.feed._codec = Codec(EventMapper((*EVENTS, FromTheFuture)))
    runner = start(poisoned.folder, poisoned.feed, projections=[Choosy(refused=99)])

    assert digest_of_choosy(runner) == value
    assert POISON not in value
    runner.close()


def create(db: Any) -> None:
    db.execute("CREATE TABLE seen (position INTEGER PRIMARY KEY CHECK (position != 7))")


class Choosy:
    """Shows every position, cannot make anything of one, and its table does not take another."""

    name: Final = "choosy"
    tables: Final = ("seen",)
    migrations: Final = (Migration("20260101_000000_create_seen", create, needs_events=True),)
    functions: Final[Mapping[str, Any]] = {}
    settling: Final[Sequence[str]] = ()

    def __init__(self, refused: int = 5) -> None:
        self._refused = refused

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        if recorded.position == self._refused:
            raise KeyError("a word of the event")
        yield Statement("INSERT INTO seen VALUES (?)", (recorded.position,))


def digest_of_choosy(runner: Runner) -> list[int]:
    return [position for (position,) in select(runner, "SELECT position FROM seen ORDER BY 1")]


def test_an_event_that_one_projection_refuses_is_set_aside_for_that_one_alone(here: World) -> None:
    here.append(*[created(originator_id=asset_id(n)) for n in range(2, 10)])
    runner = start(here.folder, here.feed, projections=[*PROJECTIONS, Choosy(refused=5)])
    assert isinstance(runner.error, PoisonEventError)
    assert (runner.position, runner.error.position) == (4, 5)
    assert runner.error.cause == "refused by a projection"
    assert runner.refusing(5) == ["choosy"]

    set_aside(here, 5, "choosy")
    runner.catch_up()

    assert ids(runner)[:4] == [2, 3, 4, 5]
    assert digest_of_choosy(runner)[:5] == [1, 2, 3, 4, 6]
    runner.close()


def test_an_event_whose_statements_fail_is_found_among_its_neighbours(here: World) -> None:
    here.append(*[created(originator_id=asset_id(n)) for n in range(2, 40)])
    runner = start(here.folder, here.feed, projections=[Choosy(refused=99)])

    assert isinstance(runner.error, PoisonEventError)
    assert (runner.position, runner.error.position) == (6, 7)
    assert "CHECK constraint failed" in runner.error.reason
    assert runner.refusing(7) == ["choosy"]
    set_aside(here, 7, "choosy")
    runner.catch_up()
    assert digest_of_choosy(runner) == [n for n in range(1, here.feed.head() + 1) if n != 7]
    runner.close()


def test_a_disk_that_is_full_is_no_events_fault(here: World) -> None:
    with here.projections() as runner:
        runner.database.write.execute("PRAGMA max_page_count = 1")
        here.append(*[created(originator_id=asset_id(n)) for n in range(2, 100)])
        runner.catch_up()

        assert not isinstance(runner.error, PoisonEventError)
        assert runner.refusing(2) == []
