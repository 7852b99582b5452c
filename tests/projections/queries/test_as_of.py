"""A list as of a position equals the list of the table at that position."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.errors import CursorError, ParameterError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Tag
from asset_ledger.ledger.reading import replay as replaying
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.as_of import PastQuery
from asset_ledger.projections.queries.asset_query import conditions
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import asset_id, created, deleted
from tests.projections.histories import histories
from tests.projections.world import World, select, world
from tests.properties import examples

Filters = Mapping[str, Sequence[str]]

LETTER = st.sampled_from(["a", "b", "c"])
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "node_id": st.lists(LETTER, min_size=1, max_size=2),
        "workflow_id": st.lists(LETTER, min_size=1, max_size=2),
        "content_type": st.sampled_from([["image/"], ["image", "text"], ["Image/png"]]),
        "parent_id": st.sampled_from([[""], ["1"], [asset_id(998)]]),
        "missing": st.sampled_from([["node_id"], ["workflow_id", "node_id"]]),
    },
)


def listed(replay: Replay, filters: Filters, position: int, size: int) -> list[Any]:
    """Return the assets of all pages as of a position."""
    found: list[Any] = []
    cursor = ""
    while True:
        query = PastQuery.of("1", filters, "created_at", size, cursor)
        tag = Tag("1", query.kind, query.value)
        seen = replay.assets_of_tag(
            tag, query.after, size + 1, upto=position, matches=query.matches
        )
        page = query.page(*seen, position)
        found += orjson.loads(b"[%b]" % page.json)
        assert page.count <= size
        cursor = page.next
        if not cursor:
            return found


def tabled(runner: Runner, filters: Filters) -> list[Any]:
    tests = [condition.sql() for condition in conditions("1", filters)]
    where = " AND ".join(text for text, _ in tests)
    sql = f"""SELECT json FROM assets WHERE user_id = '1' AND deleted_at IS NULL AND {where}
        ORDER BY seq"""
    parameters = [value for _, values in tests for value in values]
    return [orjson.loads(json) for (json,) in select(runner, sql, parameters)]


def recorded(here: World, runner: Runner, events: list[Event]) -> Iterator[int]:
    for event in events:
        assert here.write(runner, event)
        yield here.feed.head()


@given(events=histories(), job_id=LETTER, rest=FILTERS)
@examples(40)
def test_list_as_of_a_position_equals_the_table_at_that_position(
    events: list[Event], job_id: str, rest: Filters
) -> None:
    filters = {"job_id": [job_id], **rest}
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        with here.projections() as runner:
            shown = {at: tabled(runner, filters) for at in recorded(here, runner, events)}
        replay = Replay(here.log, Codec())

        assert {position: listed(replay, filters, position, 2) for position in shown} == shown


def test_page_without_matches_continues_where_its_walk_stopped(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "PAGE", 2)
    monkeypatch.setattr(replaying, "WALK", 4)
    for number in range(9):
        born = created(originator_id=asset_id(number), job_id="j")
        here.append(born, *([deleted(originator_id=asset_id(number), job_id="j")] * (number < 8)))
    replay, filters = Replay(here.log, Codec()), {"job_id": ["j"]}

    first = replay.assets_of_tag(
        Tag("1", "job", "j"), 0, 10, upto=here.feed.head(), matches=lambda asset: not asset.deleted
    )

    assert first == ([], 5)
    assert [asset["id"] for asset in listed(replay, filters, here.feed.head(), 3)] == [asset_id(8)]


@pytest.mark.parametrize(
    "filters", [{}, {"content_type": ["image/"]}, {"job_id": ["a", "b"]}, {"missing": ["job_id"]}]
)
def test_list_as_of_a_position_needs_a_filter_with_a_tag(filters: Filters) -> None:
    with pytest.raises(
        ParameterError, match="needs a filter with one job_id or node_id or workflow_id"
    ):
        PastQuery.of("1", filters, "created_at", 10, "")


def test_list_as_of_a_position_refuses_other_sorts() -> None:
    with pytest.raises(ParameterError, match="sort must be created_at"):
        PastQuery.of("1", {"job_id": ["j"]}, "-created_at", 10, "")


def test_cursor_of_a_list_as_of_a_position_is_bound_to_its_filters() -> None:
    query = PastQuery.of("1", {"job_id": ["a"]}, "created_at", 10, "")
    cursor = query.page([], 7, 9).next

    assert PastQuery.of("1", {"job_id": ["a"]}, "created_at", 10, cursor).after == 7
    with pytest.raises(CursorError):
        PastQuery.of("1", {"job_id": ["b"]}, "created_at", 10, cursor)
