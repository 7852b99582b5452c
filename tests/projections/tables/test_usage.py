"""The totals of usage, filled from events."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.domain.node import MAX_SECONDS
from asset_ledger.projections.runtime import runner as running
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.tables.usage import MAX_MICROS
from tests.builders import (
    asset_id,
    created,
    deleted,
    described,
    node_finished,
    replaced,
    restored,
)
from tests.projections.counting import Totals, ended_runs, recounted, usage
from tests.projections.histories import histories, live
from tests.projections.world import World, file_of, select, world
from tests.properties import examples


def totals(part: Runner) -> Totals:
    rows = select(
        part,
        "SELECT user_id, dimension, key, count, bytes, largest, first_seen, last_seen, runs,"
        " failed, micros FROM usage",
    )
    return {tuple(row[:3]): tuple(row[3:]) for row in rows}


@examples(80)
@given(histories(), st.integers(1, 7))
def test_totals_equal_a_count_of_the_live_assets_and_the_runs(
    events: list[Event], batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(running, "BATCH", batch)
        with world(Path(folder)) as here, usage(here) as part:
            for event in events:
                here.append(event)
            part.catch_up()

            assert part.error is None
            recorded = here.feed.read(0, 1_000)
            counted = recounted(list(live(recorded).values()), ended_runs(recorded))
            assert totals(part) == counted
            assert select(part, "SELECT count(*) FROM usage_runs") == [(0,)]
            assert select(part, "SELECT count(*) FROM usage_changes") == [(0,)]
            assert select(part, "SELECT count(*) FROM usage_lost") == [(0,)]


def test_largest_is_recomputed_when_the_largest_asset_is_deleted(here: World) -> None:
    made = [created(originator_id=asset_id(n), size=n % 2_500, node_id="n") for n in range(5_000)]
    here.append(*made)
    with usage(here) as part:
        for largest, gone in ((2_499, 2_499), (2_499, 4_999), (2_498, 2_498)):
            assert totals(part)["1", "node_id", "n"][2] == largest
            here.append(deleted(originator_id=asset_id(gone), node_id="n"))
            part.catch_up()
        assert totals(part)["1", "node_id", "n"][:3] == (4_997, 2 * 3_123_750 - 7_496, 2_498)


def test_asset_counts_once_after_many_events_in_one_batch(here: World) -> None:
    version = {"originator_version": 4}
    here.append(created(size=9), replaced(size=5), deleted(originator_version=3))
    here.append(restored(**version), described(originator_version=5, content_type="a/b"))

    with usage(here) as part:
        assert {row[:3] for row in totals(part).values()} == {(1, 5, 5)}
        assert ("1", "content_type", "a/b") in totals(part)


def test_group_without_live_assets_is_deleted(here: World) -> None:
    here.append(created(node_id="n"))
    with usage(here) as part:
        here.append(deleted(node_id="n"))
        part.catch_up()

        assert totals(part) == {}


def test_group_keeps_its_runs_when_its_last_asset_is_deleted(here: World) -> None:
    here.append(created(node_id="n"), node_finished(seconds=1.5, originator_version=1))
    with usage(here) as part:
        here.append(deleted(node_id="n"))
        part.catch_up()

        assert totals(part)["1", "node_id", "n"] == (0, 0, 0, "~", "", 1, 0, 1_500_000)


def test_totals_of_the_longest_runs_do_not_overflow(here: World) -> None:
    ends = [
        node_finished(run=str(n), seconds=MAX_SECONDS, originator_version=1) for n in range(300)
    ]
    here.append(*ends)
    with usage(here) as part:
        assert part.error is None
        assert totals(part)["1", "job_id", "j"][5:] == (300, 0, MAX_MICROS)


def test_totals_are_the_same_live_and_rebuilt(here: World) -> None:
    with usage(here) as part:
        for number in range(1, 30):
            here.append(created(originator_id=asset_id(number), node_id=f"n{number % 3}"))
            part.turn()
        value = totals(part)
    file_of(part).unlink()

    with usage(here) as rebuilt:
        assert totals(rebuilt) == value
