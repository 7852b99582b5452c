import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import Fact, iso
from asset_ledger.ledger.errors import CursorError
from asset_ledger.ledger.storage.readers import AsyncReaders
from asset_ledger.projections.queries.usage import FILTERS, SORTS, UsageQueries, UsageQuery
from asset_ledger.projections.runtime import runner as running
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import follow
from asset_ledger.projections.tables.usage import DIMENSIONS, Usage
from tests.builders import asset_id, created, deleted, described, replaced, restored
from tests.projections.histories import histories, live
from tests.projections.world import World, select, world
from tests.properties import examples

Totals = dict[tuple[str, str, str], tuple[int, int, int, str, str]]


@contextmanager
def usage(here: World) -> Iterator[Runner]:
    """The totals of this folder's first generation, as a start opens them."""
    part = follow(here.folder, 1, Usage(), here.feed)
    try:
        yield part
    finally:
        part.close()


def totals(part: Runner) -> Totals:
    rows = select(
        part,
        "SELECT user_id, dimension, key, count, bytes, largest, first_seen, last_seen FROM usage",
    )
    return {tuple(row[:3]): tuple(row[3:]) for row in rows}


def key_of(asset: Asset, dimension: str) -> str:
    return iso(asset.created_at)[:10] if dimension == "day" else getattr(asset, dimension) or ""


def recounted(assets: Sequence[Asset]) -> Totals:
    """What the totals have to be, counted from nothing."""
    groups: dict[tuple[str, str, str], list[Asset]] = {}
    for asset in assets:
        for dimension in DIMENSIONS:
            key = (asset.user_id, dimension, key_of(asset, dimension))
            groups.setdefault(key, []).append(asset)
    return {key: total(group) for key, group in groups.items()}


def total(group: Sequence[Asset]) -> tuple[int, int, int, str, str]:
    sizes = [asset.size for asset in group]
    times = [iso(asset.created_at) for asset in group]
    return len(group), sum(sizes), max(sizes), min(times), max(times)


@examples(80)
@given(histories(), st.integers(1, 7))
def test_totals_are_what_counting_the_live_assets_anew_would_give(
    facts: list[Fact], batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(running, "BATCH", batch)
        with world(Path(folder)) as here, usage(here) as part:
            for fact in facts:
                here.append(fact)
            part.catch_up()

            assert part.error is None
            assert totals(part) == recounted(list(live(here.feed.read(0, 1_000)).values()))
            assert select(part, "SELECT count(*) FROM usage_changes") == [(0,)]
            assert select(part, "SELECT count(*) FROM usage_lost") == [(0,)]


def test_the_largest_of_many_blocks_is_found_again_when_the_largest_goes(here: World) -> None:
    made = [created(originator_id=asset_id(n), size=n % 2_500, node_id="n") for n in range(5_000)]
    here.append(*made)
    with usage(here) as part:
        for largest, gone in ((2_499, 2_499), (2_499, 4_999), (2_498, 2_498)):
            assert totals(part)["1", "node_id", "n"][2] == largest
            here.append(deleted(originator_id=asset_id(gone), node_id="n"))
            part.catch_up()
        assert totals(part)["1", "node_id", "n"][:3] == (4_997, 2 * 3_123_750 - 7_496, 2_498)


def test_an_asset_counts_once_whatever_happens_to_it_within_one_batch(here: World) -> None:
    version = {"originator_version": 4}
    here.append(created(size=9), replaced(size=5), deleted(originator_version=3))
    here.append(restored(**version), described(originator_version=5, content_type="a/b"))

    with usage(here) as part:
        assert {row[:3] for row in totals(part).values()} == {(1, 5, 5)}
        assert ("1", "content_type", "a/b") in totals(part)


def test_a_group_without_live_assets_is_gone(here: World) -> None:
    here.append(created(node_id="n"))
    with usage(here) as part:
        here.append(deleted(node_id="n"))
        part.catch_up()

        assert totals(part) == {}


def test_totals_are_the_same_live_and_anew(here: World) -> None:
    with usage(here) as part:
        for number in range(1, 30):
            here.append(created(originator_id=asset_id(number), node_id=f"n{number % 3}"))
            part.turn()
        value = totals(part)
    part.database.path.unlink()

    with usage(here) as anew:
        assert totals(anew) == value


async def pages(
    queries: UsageQueries, query: UsageQuery, size: int
) -> tuple[list[dict[str, Any]], int]:
    """All pages of a query, one after the other, and how many they were."""
    rows: list[dict[str, Any]] = []
    cursor, count = "", 0
    while cursor or not count:
        page = await queries.page(query, page_size=size, cursor=cursor)
        rows += orjson.loads(b"[%b]" % page.json)
        cursor, count = page.next, count + 1
    return rows, count


@pytest.fixture
def filled(here: World, runner: Runner) -> list[Asset]:
    """Sixty assets of two users, three nodes, jobs and workflows, some of them made by nothing."""
    ids = [None, "a", "b", "c"]
    facts = [
        created(
            originator_id=asset_id(n),
            user_id="12"[n % 7 == 0],
            size=n * n % 17,
            node_id=ids[n % 4],
            job_id=ids[n % 3],
            workflow_id=ids[n % 2],
        )
        for n in range(1, 61)
    ]
    here.write(runner, *facts)
    return list(live(here.feed.read(0, 1_000)).values())


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("dimension", DIMENSIONS)
async def test_pages_are_the_groups_in_order_with_and_without_filters(
    here: World, runner: Runner, filled: list[Asset], dimension: str, sort: str
) -> None:
    choices: list[dict[str, list[str]]] = [{}]
    choices += [{name: ["a"]} for name in FILTERS] + [{"node_id": ["a", "b"], "job_id": ["a"]}]
    choices += [{name: ["a", "b"] for name in FILTERS}, {"workflow_id": ["a"], "node_id": ["c"]}]
    with usage(here) as part:
        some = [AsyncReaders(each.database.path, 1) for each in (part, runner)]
        for words in choices:
            wanted = [a for a in filled if a.user_id == "1" and _matches(a, words)]
            query = UsageQuery("1", dimension, words, sort)
            rows, _ = await pages(UsageQueries(*some), query, 2)
            assert [tuple(row.values()) for row in rows] == _expected(wanted, dimension, sort)
        for readers in some:
            await readers.close()


def _matches(asset: Asset, words: dict[str, list[str]]) -> bool:
    return all(getattr(asset, name) in values for name, values in words.items())


def _expected(assets: Sequence[Asset], dimension: str, sort: str) -> list[tuple[Any, ...]]:
    groups = recounted(assets)
    rows = [(key, *value) for (_, name, key), value in groups.items() if name == dimension]
    if sort == "key":
        rows.sort()
    else:
        column = ("-count", "-bytes", "-largest").index(sort) + 1
        rows.sort(key=lambda row: (row[column], row[0]), reverse=True)
    return [(key or None, *rest) for key, *rest in rows]


async def test_a_cursor_belongs_to_its_query(here: World, runner: Runner) -> None:
    here.append(*[created(originator_id=asset_id(n), node_id=f"n{n}") for n in (1, 2)])
    query = UsageQuery("1", "node_id", {}, "-bytes")
    with usage(here) as part:
        readers = AsyncReaders(part.database.path, 1)
        queries = UsageQueries(readers, readers)
        first = await queries.page(query, page_size=1)

        for other in (query._replace(sort="key"), query._replace(user_id="2")):
            with pytest.raises(CursorError):
                await queries.page(other, page_size=1, cursor=first.next)
        assert (first.count, first.position) == (1, 3)
        await readers.close()
