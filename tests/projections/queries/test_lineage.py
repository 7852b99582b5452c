"""Walks over edges, compared with a walk over the events in plain Python."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.errors import UnknownAssetError
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.storage.readers import AsyncSqliteReaders
from asset_ledger.projections.queries import lineage
from asset_ledger.projections.queries.lineage import Direction, LineageQueries, LineageWalk
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import DIGEST, asset_id, created, deleted, replaced
from tests.projections.world import World, file_of, select, world

Edges = set[tuple[str, str]]


@pytest.fixture
async def lines(runner: Runner) -> AsyncIterator[LineageQueries]:
    readers = AsyncSqliteReaders(file_of(runner), size=1)
    yield LineageQueries(readers)
    await readers.close()


def derived(number: int, *sources: int, **fields: Any) -> Event:
    """Return the event of the asset with this number, derived from the others."""
    made_from = tuple(asset_id(source) for source in sources)
    return created(originator_id=asset_id(number), derived_from=made_from, **fields)


def numbers(found: LineageWalk) -> list[int]:
    return sorted(int(node, 16) for node in found.graph.nodes)


def edges(found: LineageWalk) -> Edges:
    return {(edge.source, edge.derived) for edge in found.graph.edges}


def chain(*pairs: tuple[int, int]) -> Edges:
    return {(asset_id(source), asset_id(to)) for source, to in pairs}


async def walked(
    lines: LineageQueries, number: int, direction: Direction = "both", depth: int = 100
) -> LineageWalk:
    return await lines.of_asset("1", asset_id(number), direction, depth)


async def test_walks_lead_up_to_sources_and_down_to_derived_assets(
    here: World, runner: Runner, lines: LineageQueries
) -> None:
    here.write(runner, derived(1), derived(2), derived(3, 1, 2), derived(4, 3), derived(5, 1))

    up, down, both = [await walked(lines, 3, d) for d in ("up", "down", "both")]

    assert (numbers(up), edges(up)) == ([1, 2, 3], chain((1, 3), (2, 3)))
    assert (numbers(down), edges(down)) == ([3, 4], chain((3, 4)))
    assert numbers(both) == [1, 2, 3, 4]
    assert [len(found.json) for found in (up, down, both)] == [3, 2, 4]
    assert not both.graph.truncated
    assert both.position == here.feed.head()


async def test_walk_stops_at_its_depth_and_reports_truncation(
    here: World, runner: Runner, lines: LineageQueries
) -> None:
    here.write(runner, derived(1), derived(2, 1), derived(3, 2), derived(4, 3))

    near, far = await walked(lines, 1, "down", 2), await walked(lines, 1, "down", 3)

    assert (numbers(near), near.graph.truncated) == ([1, 2, 3], True)
    assert (numbers(far), far.graph.truncated) == ([1, 2, 3, 4], False)


async def test_walk_stops_at_its_size_limit_and_reports_truncation(
    here: World, runner: Runner, lines: LineageQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "MAX_NODES", 3)
    here.write(runner, derived(1), derived(2, 1), derived(3, 1), derived(4, 1), derived(5, 2))

    found = await walked(lines, 1)

    assert (numbers(found), found.graph.truncated) == ([1, 2, 3], True)


async def test_walk_enters_a_circle_once(
    here: World, runner: Runner, lines: LineageQueries
) -> None:
    """No command records a circle, since sources have to exist; an imported log may have one."""
    here.write(runner, derived(1, 3), derived(2, 1), derived(3, 2), derived(4, 3))

    for direction in ("down", "both"):
        found = await walked(lines, 2, direction)
        assert numbers(found) == [1, 2, 3, 4]
        assert edges(found) == chain((3, 1), (1, 2), (2, 3), (3, 4))
        assert not found.graph.truncated


async def test_walk_passes_through_tombstones(
    here: World, runner: Runner, lines: LineageQueries
) -> None:
    here.write(runner, derived(1), derived(2, 1), derived(3, 2))
    here.write(runner, deleted(originator_id=asset_id(2)))

    found = await walked(lines, 1)

    assert (numbers(found), len(found.json)) == ([1, 2, 3], 3)


async def test_walk_from_a_digest_finds_all_derived_assets(
    here: World, runner: Runner, lines: LineageQueries
) -> None:
    other = Digest("sha256:" + "c" * 64)
    here.write(runner, derived(1), derived(2, digest=other), derived(3, 1), derived(4, 3))
    here.write(runner, replaced(originator_id=asset_id(1), digest=other), derived(5, 1))

    first = await lines.of_digest("1", DIGEST, 100)
    near = await lines.of_digest("1", DIGEST, 1)
    second = await lines.of_digest("1", other, 100)
    other_user = await lines.of_digest("2", DIGEST, 100)

    assert edges(first) == chain((1, 3), (3, 4))
    assert (edges(near), near.graph.truncated) == (chain((1, 3), (3, 4)), False)
    assert edges(second) == chain((1, 5))
    assert (numbers(other_user), other_user.graph.truncated) == ([], False)


async def test_lineage_of_another_user_is_hidden(
    here: World, runner: Runner, lines: LineageQueries
) -> None:
    here.write(runner, derived(1), derived(2, 1, user_id="2"))

    found = await walked(lines, 1)

    assert numbers(found) == [1]
    for user, asset in (("1", asset_id(2)), ("2", asset_id(1)), ("1", asset_id(9))):
        with pytest.raises(UnknownAssetError):
            await lines.of_asset(user, asset, "both", 100)


@given(
    sources=st.lists(st.sets(st.integers(0, 9), max_size=3), max_size=10), root=st.integers(0, 9)
)
@settings(max_examples=25)
def test_walk_finds_the_same_as_a_walk_over_the_events(sources: list[set[int]], root: int) -> None:
    known = [{source for source in made_from if source < n} for n, made_from in enumerate(sources)]
    events = [derived(n, *sorted(made_from)) for n, made_from in enumerate(known)]
    if root >= len(events):
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        world(Path(folder)) as here,
        here.projections() as runner,
    ):
        here.write(runner, *events)
        assert len(select(runner, "SELECT * FROM edges")) == sum(map(len, known))
        found = {way: asyncio.run(_walked(runner, root, way)) for way in ("up", "down")}

    below = [{n for n, made_from in enumerate(known) if m in made_from} for m in range(len(known))]
    assert numbers(found["up"]) == sorted(_plain(root, known))
    assert numbers(found["down"]) == sorted(_plain(root, below))


async def _walked(runner: Runner, root: int, direction: Any) -> LineageWalk:
    readers = AsyncSqliteReaders(file_of(runner), size=1)
    try:
        return await LineageQueries(readers).of_asset("1", AssetId(asset_id(root)), direction, 100)
    finally:
        await readers.close()


def _plain(root: int, neighbours: list[set[int]]) -> set[int]:
    seen, front = {root}, [root]
    while front:
        new: Iterable[int] = neighbours[front.pop()] - seen
        seen |= set(new)
        front += new
    return seen
