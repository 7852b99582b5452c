"""A projection stalls before an event that it cannot take, until the event is skipped.

Rebuilds skip the event too.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.domain.ledger import ProjectionSkipped
from asset_ledger.ledger.errors import PoisonEventError
from asset_ledger.ledger.log.codec import EVENTS, Codec, EventMapper
from asset_ledger.ledger.reading.feed import Feed
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
    """A log whose third event, between two assets, is of a later release."""
    newer = Codec(EventMapper((*EVENTS, FromTheFuture)))
    with world(tmp_path, codec=newer) as here:
        poison = FromTheFuture(originator_id=asset_id(9), originator_version=1, by="1")
        here.append(created(), poison, created(originator_id=asset_id(2)))
        yield here


def skip(here: World, position: int, *projections: str) -> None:
    """Record that these projections skip an event."""
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


def test_projections_stall_before_an_unreadable_event_without_a_skip(poisoned: World) -> None:
    with poisoned.projections() as runner:
        assert (runner.position, ids(runner)) == (POISON - 1, [1])
        assert isinstance(runner.error, PoisonEventError)
        assert (runner.error.position, runner.error.cause) == (POISON, "unknown topic")
        assert runner.refusing(POISON) == OURS
        assert runner.refusing(POISON - 1) == []
        assert runner.refusing(POISON + 1) == []
        assert runner.refusing(POISON + 100) == []


def test_stalled_projections_continue_after_a_skip(
    poisoned: World,
) -> None:
    with poisoned.projections() as runner:
        skip(poisoned, POISON, *OURS)
        runner.catch_up()

        assert (runner.state, ids(runner)) == ("live", [1, 2])
        assert runner.position == poisoned.feed.head()
        assert runner.refusing(POISON) == []


def test_rebuilds_skip_the_same_events_and_give_the_same_digest(
    poisoned: World,
) -> None:
    with poisoned.projections() as runner:
        skip(poisoned, POISON, *OURS, "usage", "search", "catalog")
        runner.catch_up()
        live = digest_of(runner)

    first, second = (rebuild(poisoned.tables, poisoned.feed) for _ in range(2))

    assert first.digest == second.digest == live


def test_skip_applies_only_to_the_projections_that_it_names(poisoned: World) -> None:
    with poisoned.projections() as runner:
        skip(poisoned, POISON, "usage", "jobs", "assets")
        runner.catch_up()
        assert (runner.position, runner.refusing(POISON)) == (POISON - 1, ["lineage"])

        usage = follow(poisoned.tables, 1, Usage(), poisoned.feed)
        assert (usage.state, usage.position) == ("live", poisoned.feed.head())
        usage.close()


def test_skip_holds_for_a_release_that_can_read_the_event(poisoned: World) -> None:
    skip(poisoned, POISON, "refusing")
    runner = start(poisoned.tables, poisoned.feed, projections=[RefusingProjection(refused=99)])
    positions = positions_of(runner)
    runner.close()
    for file in poisoned.folder.glob("projections.*"):
        file.unlink()

    later_feed = Feed(poisoned.log, Codec(EventMapper((*EVENTS, FromTheFuture))), LOG_ID)
    runner = start(poisoned.tables, later_feed, projections=[RefusingProjection(refused=99)])

    assert positions_of(runner) == positions
    assert POISON not in positions
    runner.close()


def create(db: Any) -> None:
    db.execute("CREATE TABLE seen (position INTEGER PRIMARY KEY CHECK (position != 7))")


class RefusingProjection:
    """Stores every position. It refuses one event, and its table refuses position 7."""

    name: Final = "refusing"
    tables: Final = ("seen",)
    migrations: Final = (Migration("20260101_000000_create_seen", create, needs_events=True),)
    functions: Final[Mapping[str, Any]] = {}
    settling: Final[Sequence[str]] = ()

    def __init__(self, refused: int = 5) -> None:
        self._refused = refused

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        if recorded.position == self._refused:
            raise KeyError("a field of the event")
        yield Statement("INSERT INTO seen VALUES (?)", (recorded.position,))


def positions_of(runner: Runner) -> list[int]:
    return [position for (position,) in select(runner, "SELECT position FROM seen ORDER BY 1")]


def test_event_refused_by_one_projection_is_skipped_for_that_projection_alone(here: World) -> None:
    here.append(*[created(originator_id=asset_id(n)) for n in range(2, 10)])
    runner = start(
        here.tables, here.feed, projections=[*PROJECTIONS, RefusingProjection(refused=5)]
    )
    assert isinstance(runner.error, PoisonEventError)
    assert (runner.position, runner.error.position) == (4, 5)
    assert runner.error.cause == "refused by a projection"
    assert runner.refusing(5) == ["refusing"]

    skip(here, 5, "refusing")
    runner.catch_up()

    assert ids(runner)[:4] == [2, 3, 4, 5]
    assert positions_of(runner)[:5] == [1, 2, 3, 4, 6]
    runner.close()


def test_event_with_failing_statements_is_found_within_its_batch(here: World) -> None:
    here.append(*[created(originator_id=asset_id(n)) for n in range(2, 40)])
    runner = start(here.tables, here.feed, projections=[RefusingProjection(refused=99)])

    assert isinstance(runner.error, PoisonEventError)
    assert (runner.position, runner.error.position) == (6, 7)
    assert "CHECK constraint failed" in runner.error.reason
    assert runner.refusing(7) == ["refusing"]
    skip(here, 7, "refusing")
    runner.catch_up()
    assert positions_of(runner) == [n for n in range(1, here.feed.head() + 1) if n != 7]
    runner.close()


def test_full_disk_is_not_blamed_on_an_event(here: World) -> None:
    with here.projections() as runner:
        runner.database.write.execute("PRAGMA max_page_count = 1")
        here.append(*[created(originator_id=asset_id(n)) for n in range(2, 100)])
        runner.catch_up()

        assert not isinstance(runner.error, PoisonEventError)
        assert runner.refusing(2) == []
