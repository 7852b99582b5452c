"""Assets by node, job and workflow, alone and together; cursors while others write."""

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
    """One asset of every type by every node, and by none, in every job of every workflow."""

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
    """A ledger of one's own, with what is recorded in it."""
    async with connect(data_dir=shutil.copytree(recorded, tmp_path / "data")) as gateway:
        yield gateway


def matching(**wanted: str) -> list[int]:
    """The numbers of the assets that have these values, in the order in which they were made."""
    return [
        number
        for number, made in enumerate(MADE)
        if all((made[name] or "") == value for name, value in wanted.items())
    ]


def numbers(assets: list[Asset]) -> list[int]:
    return [int(asset.name) for asset in assets]


async def everything(**filters: str | list[str]) -> list[int]:
    return numbers([asset async for asset in Asset.iterate(**filters)])  # type: ignore[arg-type]


@pytest.mark.parametrize("node_id", ["n1", "n2"])
async def test_by_node(ledger: Gateway, node_id: str) -> None:
    assets, cursor = await Asset.paginate(user_id="1", node_id=node_id)

    assert numbers(assets) == matching(node_id=node_id)
    assert {asset.node_id for asset in assets} == {node_id}
    assert cursor == ""


@pytest.mark.parametrize("job_id", JOBS)
async def test_by_job(ledger: Gateway, job_id: str) -> None:
    assets, _ = await Asset.paginate(job_id=job_id)

    assert numbers(assets) == matching(job_id=job_id)
    assert {asset.job_id for asset in assets} == {job_id}


@pytest.mark.parametrize("workflow_id", WORKFLOWS)
async def test_by_workflow(ledger: Gateway, workflow_id: str) -> None:
    assets, _ = await Asset.paginate(workflow_id=workflow_id)

    assert numbers(assets) == matching(workflow_id=workflow_id)


@pytest.mark.parametrize(
    "wanted",
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
async def test_filters_narrow_together(ledger: Gateway, wanted: dict[str, str]) -> None:
    assert await everything(**wanted) == matching(**wanted)


async def test_a_repeated_filter_takes_any_of_its_values(ledger: Gateway) -> None:
    found = await everything(node_id=["n1", "n2"], job_id=["j2"], workflow_id=["w1", "never"])

    both = matching(node_id="n1", job_id="j2", workflow_id="w1")
    both += matching(node_id="n2", job_id="j2", workflow_id="w1")
    assert found == sorted(both)


async def test_a_content_type_is_a_prefix(ledger: Gateway) -> None:
    images = matching(content_type="image/png") + matching(content_type="image/webp")

    assert await everything(content_type="image/") == sorted(images)


async def test_what_no_node_made_is_found_as_missing(ledger: Gateway) -> None:
    assert await everything(missing="node_id", job_id="j1") == matching(node_id="", job_id="j1")


async def test_the_newest_come_first_where_that_is_asked(ledger: Gateway) -> None:
    assert await everything(node_id="n1", sort="-created_at") == matching(node_id="n1")[::-1]


@pytest.mark.parametrize("limit", [1, 2, 5, 12, 13])
@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
async def test_pages_join_up_whatever_their_length(ledger: Gateway, limit: int, sort: Sort) -> None:
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
async def test_a_walk_sees_what_was_there_once_while_others_write(
    ledger: Gateway, sort: Sort
) -> None:
    context = ProcessingContext(workflow_id="w1", job_id="j1")
    found: list[Asset] = []
    cursor = "begin"
    for _ in range(10):  # more keep coming, so that a walk forwards has no end of its own
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


async def test_a_cursor_belongs_to_its_filters_and_its_order(ledger: Gateway) -> None:
    _, cursor = await Asset.paginate(node_id="n1", limit=1)

    for other in ({"node_id": "n2"}, {"node_id": "n1", "sort": "-created_at"}, {"job_id": "j1"}):
        with pytest.raises(CursorError):
            await Asset.paginate(limit=1, cursor=cursor, **other)  # type: ignore[arg-type]


async def test_a_deleted_asset_is_in_no_list(ledger: Gateway) -> None:
    (asset, *_), _ = await Asset.paginate(node_id="n1", job_id="j1")
    await asset.delete()

    assert int(asset.name) not in await everything(node_id="n1")
