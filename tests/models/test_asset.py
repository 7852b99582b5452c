"""Listing assets by node, job and workflow; sorting, paging, and paging during writes."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import pytest

from asset_ledger import Asset, Gateway, ProcessingContext, connect
from asset_ledger.api.sdk.record import Sort
from asset_ledger.errors import CursorError

WORKFLOWS, JOBS, NODES = ("w1", "w2"), ("j1", "j2"), ("n1", "n2", None)
TYPES = ("image/png", "image/webp", "text/plain")
MADE = [
    {"workflow_id": workflow, "job_id": job, "node_id": node, "content_type": kind}
    for workflow, job, node, kind in product(WORKFLOWS, JOBS, NODES, TYPES)
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an asset of every type, node (or none), job and workflow."""

    async def record(folder: Path) -> None:
        async with connect(data_dir=folder):
            for number, made in enumerate(MADE):
                context = ProcessingContext(workflow_id=made["workflow_id"], job_id=made["job_id"])
                await context.create_asset(
                    f"{number}", made["content_type"], b"%d" % number, node_id=made["node_id"]
                )

    folder = tmp_path_factory.mktemp("recorded") / "data"
    asyncio.run(record(folder))
    return folder


@pytest.fixture
async def ledger(recorded: Path, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A ledger over a copy of the recorded folder."""
    async with connect(data_dir=shutil.copytree(recorded, tmp_path / "data")) as gateway:
        yield gateway


def matching(**filters: str) -> list[int]:
    """Return the numbers of the assets with these values, in order of creation."""
    return [
        number
        for number, made in enumerate(MADE)
        if all((made[name] or "") == value for name, value in filters.items())
    ]


def numbers(assets: list[Asset]) -> list[int]:
    return [int(asset.name) for asset in assets]


async def listed(**filters: str | list[str]) -> list[int]:
    return numbers([asset async for asset in Asset.iterate(**filters)])  # type: ignore[arg-type]


@pytest.mark.parametrize("node_id", ["n1", "n2"])
async def test_paginate_filters_by_node(ledger: Gateway, node_id: str) -> None:
    assets, cursor = await Asset.paginate(user_id="1", node_id=node_id)

    assert numbers(assets) == matching(node_id=node_id)
    assert {asset.node_id for asset in assets} == {node_id}
    assert cursor == ""


@pytest.mark.parametrize("job_id", JOBS)
async def test_paginate_filters_by_job(ledger: Gateway, job_id: str) -> None:
    assets, _ = await Asset.paginate(job_id=job_id)

    assert numbers(assets) == matching(job_id=job_id)
    assert {asset.job_id for asset in assets} == {job_id}


@pytest.mark.parametrize("workflow_id", WORKFLOWS)
async def test_paginate_filters_by_workflow(ledger: Gateway, workflow_id: str) -> None:
    assets, _ = await Asset.paginate(workflow_id=workflow_id)

    assert numbers(assets) == matching(workflow_id=workflow_id)


@pytest.mark.parametrize(
    "filters",
    [
        {"workflow_id": "w1", "node_id": "n1"},
        {"job_id": "j2", "node_id": "n2"},
        {"workflow_id": "w2", "job_id": "j1"},
        {"workflow_id": "w2", "job_id": "j1", "node_id": "n1"},
        {"job_id": "j1", "content_type": "text/plain"},
        {"workflow_id": "w1", "job_id": "j1", "node_id": "n1", "content_type": "image/webp"},
        {"workflow_id": "w1", "job_id": "never"},
    ],
)
async def test_iterate_returns_assets_matching_all_filters(
    ledger: Gateway, filters: dict[str, str]
) -> None:
    assert await listed(**filters) == matching(**filters)


async def test_iterate_matches_any_value_of_a_repeated_filter(ledger: Gateway) -> None:
    found = await listed(node_id=["n1", "n2"], job_id=["j2"], workflow_id=["w1", "never"])

    both = matching(node_id="n1", job_id="j2", workflow_id="w1")
    both += matching(node_id="n2", job_id="j2", workflow_id="w1")
    assert found == sorted(both)


async def test_iterate_matches_content_types_by_prefix(ledger: Gateway) -> None:
    images = matching(content_type="image/png") + matching(content_type="image/webp")

    assert await listed(content_type="image/") == sorted(images)


async def test_iterate_with_missing_returns_assets_without_a_node(ledger: Gateway) -> None:
    assert await listed(missing="node_id", job_id="j1") == matching(node_id="", job_id="j1")


async def test_iterate_sorts_the_newest_first_on_request(ledger: Gateway) -> None:
    assert await listed(node_id="n1", sort="-created_at") == matching(node_id="n1")[::-1]


@pytest.mark.parametrize("limit", [1, 2, 5, 12, 13])
@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
async def test_pages_of_any_size_contain_every_asset_once(
    ledger: Gateway, limit: int, sort: Sort
) -> None:
    found, cursor = [], "begin"
    while cursor:
        page, cursor = await Asset.paginate(
            node_id="n1", limit=limit, sort=sort, cursor=cursor.removeprefix("begin")
        )
        assert len(page) == limit or not cursor
        found += numbers(page)

    expected = matching(node_id="n1")
    assert found == (expected if sort == "created_at" else expected[::-1])


@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
async def test_paging_returns_every_earlier_asset_once_during_writes(
    ledger: Gateway, sort: Sort
) -> None:
    context = ProcessingContext(workflow_id="w1", job_id="j1")
    found: list[Asset] = []
    cursor = "begin"
    for _ in range(10):  # each page adds assets, so paging forwards never ends
        (page, cursor), *_ = await asyncio.gather(
            Asset.paginate(node_id="n1", limit=3, sort=sort, cursor=cursor.removeprefix("begin")),
            context.create_asset("999", content=b"x", node_id="n1"),
            context.create_asset("999", content=b"x", node_id="n2"),
        )
        found += page
        if not cursor:
            break

    ids = [asset.id for asset in found]
    assert len(set(ids)) == len(ids)
    old = [number for number in numbers(found) if number < len(MADE)]
    assert old == matching(node_id="n1")[:: 1 if sort == "created_at" else -1]


async def test_paginate_refuses_a_cursor_of_other_filters_or_another_sort(ledger: Gateway) -> None:
    _, cursor = await Asset.paginate(node_id="n1", limit=1)

    for other in ({"node_id": "n2"}, {"node_id": "n1", "sort": "-created_at"}, {"job_id": "j1"}):
        with pytest.raises(CursorError):
            await Asset.paginate(limit=1, cursor=cursor, **other)  # type: ignore[arg-type]


async def test_iterate_omits_deleted_assets(ledger: Gateway) -> None:
    (asset, *_), _ = await Asset.paginate(node_id="n1", job_id="j1")
    await asset.delete()

    assert int(asset.name) not in await listed(node_id="n1")
