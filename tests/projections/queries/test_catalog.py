"""Long lists by name and by size, read from the catalog."""

import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.errors import CursorError, ParameterError
from asset_ledger.projections.queries import assets as assets_reads
from asset_ledger.projections.queries import catalog as catalog_reads
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import asset_id, created, described
from tests.projections.histories import USERS, histories, live
from tests.projections.world import World, asset_queries, world
from tests.properties import examples

ORDERS = ["name", "-name", "size", "-size"]


FILTERS = st.sampled_from([{}, {"content_type": ["image/"]}, {"tag": ["t"]}, {"name": ["same"]}])


@pytest.fixture(autouse=True)
def every_list_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets_reads, "WALK", -1)
    monkeypatch.setattr(catalog_reads, "CHUNK", 3)


async def pages(assets: AssetQueries, user: str, filters: Any, sort: str, size: int) -> list[Any]:
    """Return the ids on each page of a list."""
    found, cursor = [], ""
    while True:
        page = await assets.page(user, filters, sort=sort, page_size=size, cursor=cursor)
        found.append([asset["id"] for asset in orjson.loads(b"[%b]" % page.json)])
        cursor = page.next
        if not cursor:
            return found


def naively(assets: dict[str, Asset], user: str, filters: Any, sort: str) -> list[str]:
    found = [asset for asset in assets.values() if asset.user_id == user and _fits(asset, filters)]
    key = sort.removeprefix("-")
    found.sort(key=lambda asset: (getattr(asset, key), asset.seq), reverse=sort.startswith("-"))
    return [asset.id for asset in found]


def _fits(asset: Asset, filters: Any) -> bool:
    return (
        asset.content_type.startswith(filters.get("content_type", [""])[0])
        and filters.get("name", [asset.name]) == [asset.name]
        and all(tag in asset.tags for tag in filters.get("tag", []))
    )


@examples(40)
@given(histories(), FILTERS, st.integers(1, 4))
async def test_long_lists_equal_a_naive_sort(events: list[Event], filters: Any, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        here.append(*events) if events else None
        state = live(here.feed.read(0, 1_000))
        with here.projections() as runner:
            async with asset_queries(here, runner) as assets:
                for user in USERS:
                    for sort in ORDERS:
                        found = await pages(assets, user, filters, sort, size)
                        assert list(chain(*found)) == naively(state, user, filters, sort)
                        assert all(len(each) <= size for each in found)


async def test_long_list_stops_after_walk_rows_and_continues(
    here: World, runner: Runner, assets: AssetQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_reads, "WALK", 9)
    tags = [["t"] if n % 20 == 0 else [] for n in range(1, 41)]
    here.write(
        runner,
        *[
            created(originator_id=asset_id(n), size=n, private={"name": "n", "tags": tag})
            for n, tag in enumerate(tags, 1)
        ],
    )

    found = await pages(assets, "1", {"tag": ["t"]}, "-size", 5)

    assert [[int(each, 16) for each in page] for page in found if page] == [[40], [20]]
    assert len(found) == 5


async def test_renamed_asset_moves_in_the_catalog(
    here: World, runner: Runner, assets: AssetQueries
) -> None:
    for n, name in enumerate("bac", 1):
        here.write(runner, created(originator_id=asset_id(n), private={"name": name}))
    here.write(runner, described(originator_id=asset_id(2), private={"name": "z"}))

    (found,) = await pages(assets, "1", {}, "name", 10)

    assert [int(each, 16) for each in found] == [1, 3, 2]


async def test_long_list_refuses_tombstones(assets: AssetQueries) -> None:
    with pytest.raises(ParameterError, match="deleted must be false"):
        await assets.page("1", {}, sort="size", deleted="any")


async def test_cursor_of_another_sort_is_refused(
    here: World, runner: Runner, assets: AssetQueries
) -> None:
    here.write(runner, *[created(originator_id=asset_id(n)) for n in range(1, 4)])
    page = await assets.page("1", {}, sort="size", page_size=1)

    with pytest.raises(CursorError):
        await assets.page("1", {}, sort="-size", page_size=1, cursor=page.next)
