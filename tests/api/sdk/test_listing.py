"""Records in a notebook and in a DataFrame, from both doors and over both gateways."""

import asyncio
import re
import sys
from base64 import b64decode
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import BytesIO
from pickle import dumps, loads
from typing import Any

import orjson
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from asset_ledger import Asset, Event, Gateway, Job, Listing, ProcessingContext, connect, sync
from asset_ledger.errors import MissingPackageError
from tests.api.running import Api

EVIL = "<script>alert('x')</script> & \"quoted\""


class Page(HTMLParser):
    """The tags and the texts of a page, and the pictures in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.pictures: list[bytes] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.add(tag)
        if tag == "img":
            found = re.fullmatch(r"data:image/webp;base64,(.*)", dict(attributes)["src"])
            assert found
            self.pictures.append(b64decode(found[1]))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(shown: Any) -> Page:
    found = Page(shown._repr_html_())
    assert found.tags <= {"table", "thead", "tbody", "tr", "th", "td", "img", "p"}
    return found


def picture(colour: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (300, 200), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def filled(tmp_path: Any) -> Iterator[sync.ProcessingContext]:
    """Two jobs of two pictures and a text each, in a folder that the sync door opened."""
    with sync.connect(data_dir=tmp_path / "data"):
        for job, colours in (("j", ("red", "blue")), ("k", ("red", "green"))):
            with sync.ProcessingContext(job_id=job, parameters={"n": [1, EVIL]}) as context:
                for name, colour in zip(("a", EVIL), colours, strict=True):
                    context.create_asset(
                        name, "image/png", picture(colour), node_id="n", tags=["t"]
                    )
                context.create_asset("text", "text/plain", b"x", metadata={EVIL: EVIL})
        yield sync.ProcessingContext(job_id="k")


def test_a_list_of_assets_is_a_table_with_thumbnails(filled: sync.ProcessingContext) -> None:
    assets, _ = sync.Asset.paginate(job_id="j")

    found = page(assets)

    assert {"a", EVIL, "text", "text/plain", "content_type"} <= set(found.texts)
    assert len(found.pictures) == 2
    for each in found.pictures:
        with Image.open(BytesIO(each)) as image:
            assert (image.format, max(image.size)) == ("WEBP", 160)


def test_an_asset_a_job_and_a_list_of_jobs_are_tables(filled: sync.ProcessingContext) -> None:
    (first, second, text), _ = sync.Asset.paginate(job_id="j")
    jobs, _ = sync.Job.paginate()

    assert [len(page(each).pictures) for each in (first, second, text)] == [1, 1, 0]
    assert str({EVIL: EVIL}) in page(text).texts
    assert {"j", "completed", str({"n": [1, EVIL]})} <= set(page(jobs[0]).texts)
    assert {"j", "k", "status"} <= set(page(jobs).texts)


def test_a_comparison_is_a_table_with_the_pictures_of_both_jobs(
    filled: sync.ProcessingContext,
) -> None:
    compared = sync.Job.get("j").compare("k")

    found = page(compared)

    assert {"j", "k", "same", "different", EVIL} <= set(found.texts)
    assert len(found.pictures) == 4


def test_nodes_usage_events_and_lineage_are_tables(filled: sync.ProcessingContext) -> None:
    (asset, *_), _ = sync.Asset.paginate(job_id="j")
    shown: list[Listing[Any]] = [
        filled.nodes(),
        sync.Job.get("j").nodes(sort="-bytes"),
        sync.Asset.usage(),
        asset.history(),
        asset.lineage().assets,
    ]

    for each, text in zip(shown, ("untracked", "n", "n", "asset.created", "a"), strict=True):
        assert text in page(each).texts
        assert page(Listing(each.kind)).texts  # its columns


def test_a_long_list_shows_fifty_rows_and_short_texts(filled: sync.ProcessingContext) -> None:
    (asset, *_), _ = sync.Asset.paginate(job_id="k")
    long = asset.update(metadata={"x": "y" * 10_000})

    found = page(Listing(sync.Asset, [asset] * 1_234))

    assert found.texts.count("image/png") == 50
    assert "and 1,184 more" in found.texts
    assert len(found.pictures) == 50
    assert max(map(len, page(long).texts)) == 200


def test_a_repr_is_short_however_much_there_is(filled: sync.ProcessingContext) -> None:
    found, _ = sync.Asset.paginate(job_id="k")
    long = Listing(sync.Asset, [found[0].update(metadata={"x": "y" * 10_000})] * 1_234)
    events = [each for each in filled.history() if each.asset_id]

    assert repr(long).endswith(", and 1,228 more]")
    assert repr(events[0]) == f"<Event {events[0].position} asset.created {events[0].asset_id}>"
    assert repr(found[0].lineage()) == f"<Lineage {found[0].id} 1 assets, 0 edges>"
    compared = sync.Job.get("k").compare("k")
    assert repr(compared).startswith("<Comparison 'k' 'k': ")
    assert repr(compared.rows[0]) == "<ComparedAssets 'n' 'a' same>"
    assert repr(filled.nodes()[0]) == "<NodeSummary 'n' untracked 0 runs 2 assets>"
    pairs, *_ = sync.Asset.usage(group_by=("job_id", "node_id"), job_id="j")
    assert repr(pairs) == f"<Usage 'j' 'n' 2 assets {pairs.bytes:,} bytes>"
    assert repr(sync.Asset.usage()[0]).startswith("<Usage 'n' 4 assets ")
    assert all(len(repr(each)) < 1_000 for each in (long, compared, found))


async def test_a_page_over_http_has_thumbnails_in_a_running_event_loop(api: Api) -> None:
    async def shown() -> tuple[Listing[Asset], Page]:
        async with connect(api.url):
            context = ProcessingContext()
            await context.create_asset(EVIL, "image/png", picture("red"))
            await context.create_asset("broken", "image/png", b"no picture")
            found, _ = await Asset.paginate()
            return found, page(found)

    # The server needs this event loop, which a page would stop.
    found, opened = await asyncio.to_thread(asyncio.run, shown())

    assert {EVIL, "broken"} <= {*opened.texts}
    assert len(opened.pictures) == 1
    assert page(found).pictures == []  # the connection is closed
    assert "broken" in page(found).texts


async def test_a_page_of_a_folder_of_this_event_loop_has_no_thumbnails(embedded: Gateway) -> None:
    context = ProcessingContext(gateway=embedded)
    asset = await context.create_asset("a", "image/png", picture("red"))

    assert page(asset).pictures == []
    assert "a" in page(asset).texts


async def test_to_dict_has_the_values_of_the_api(api: Api) -> None:
    async with connect(api.url) as gateway:
        async with ProcessingContext(job_id="j", gateway=gateway) as context:
            asset = await context.create_asset("a", content=b"x", metadata={"k": [1]}, node_id="n")
        job, nodes, events = await Job.get("j"), await context.nodes(), await asset.history()
        assert await job.nodes() == await job.nodes(attempt=1) == nodes
        compared, lineage = await job.compare("j"), await asset.lineage()
        (usage,) = await Asset.usage()

    documents = {
        f"/api/assets/{asset.id}": asset.to_dict(),
        "/api/jobs/j": job.to_dict(),
    }
    for path, found in documents.items():
        document = (await api.get(path)).json
        assert {name: document[name] for name in found} == found
    assert compared.to_dict()["rows"][0]["a"] == asset.to_dict()
    assert lineage.to_dict()["assets"] == [asset.to_dict()]
    for record in (*nodes, *events, usage, compared, lineage):
        assert orjson.loads(orjson.dumps(record.to_dict())) == record.to_dict()
    assert nodes.to_dicts()[0]["node_id"] == "n"


def test_lists_become_frames_of_pandas(filled: sync.ProcessingContext) -> None:
    assets, _ = sync.Asset.paginate()
    frame = assets.to_pandas()

    assert list(frame["name"]) == [asset.name for asset in assets]
    assert frame["size"].sum() == sum(asset.size for asset in assets)
    assert str(frame["created_at"].dtype).endswith("UTC]")
    assert frame["created_at"][0] == pd.Timestamp(assets[0].created_at)
    assert frame["metadata"][2] == {EVIL: EVIL}
    assert frame["tags"][0] == ["t"]
    assert frame.groupby("job_id")["size"].count().to_dict() == {"j": 3, "k": 3}
    compared = sync.Job.get("j").compare("k").rows.to_pandas()
    assert list(compared["a"]) == [asset.id for asset in assets[:3]]


def test_lists_become_frames_of_polars(filled: sync.ProcessingContext) -> None:
    assets, _ = sync.Asset.paginate()
    frame = assets.to_polars()

    assert frame["name"].to_list() == [asset.name for asset in assets]
    assert frame.schema["created_at"] == pl.Datetime("us", "UTC")
    assert frame["created_at"][0] == assets[0].created_at
    assert frame["metadata"].to_list()[:3] == [None, None, orjson.dumps({EVIL: EVIL}).decode()]
    assert frame["tags"].to_list()[0] == ["t"]
    assert frame.group_by("job_id").len()["len"].to_list() == [3, 3]
    compared = sync.Job.get("j").compare("k").rows.to_polars()
    assert compared["a"].to_list() == [asset.id for asset in assets[:3]]


def test_every_kind_of_list_becomes_a_frame_also_an_empty_one(
    filled: sync.ProcessingContext,
) -> None:
    (asset, *_), _ = sync.Asset.paginate()
    jobs, _ = sync.Job.paginate()
    for each in (jobs, filled.nodes(), sync.Asset.usage(), asset.history()):
        names = list(each[0].to_dict())
        for found in (each, Listing(each.kind)):
            assert list(found.to_pandas().columns) == names
            assert found.to_polars().columns == names
            assert len(found.to_pandas()) == len(found.to_polars()) == len(found)
    empty, full = Listing(sync.Asset).to_polars(), sync.Asset.paginate()[0].to_polars()
    assert empty.schema == full.schema
    assert pl.concat([empty, full]).equals(full)


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_frame_without_its_package_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(MissingPackageError) as raised:
        getattr(Listing(Event), f"to_{name}")()

    assert str(raised.value) == f"to_{name}() needs {name}: pip install 'asset-ledger[{name}]'"


def test_a_list_is_copied_and_pickled(filled: sync.ProcessingContext) -> None:
    assets, _ = sync.Asset.paginate()

    for other in (copy(assets), loads(dumps(assets))):
        assert (other, other.kind) == (assets, sync.Asset)
        assert other.to_dicts() == assets.to_dicts()
    assert assets[0].created_at <= datetime.now(UTC)


def test_a_part_of_a_list_is_a_table_and_a_frame(filled: sync.ProcessingContext) -> None:
    assets, _ = sync.Asset.paginate()

    assert len(page(assets[:2]).pictures) == 2
    assert list(assets[-1:].to_pandas()["name"]) == ["text"]
    assert assets[::2].to_dicts() == assets.to_dicts()[::2]
