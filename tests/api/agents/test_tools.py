"""The tools of agents, on a data folder: what they answer, and how much."""

import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from PIL import Image
from pydantic import ValidationError

from asset_ledger import Gateway, ProcessingContext, connect
from asset_ledger.api.agents import arguments
from asset_ledger.api.agents.answers import MAX_ANSWER
from asset_ledger.api.agents.arguments import (
    CompareArguments,
    JobArguments,
    LineageArguments,
    PreviewArguments,
    ReplayArguments,
    SearchArguments,
    UsageArguments,
    VerifyArguments,
)
from asset_ledger.api.agents.check import verify
from asset_ledger.api.agents.preview import HEAD, MAX_PICTURE, preview
from asset_ledger.api.agents.tools import Access, compare, job, lineage, replay, search, usage
from asset_ledger.api.cli import cli
from asset_ledger.errors import RefusedError, UnknownAssetError, UnknownJobError


@pytest.fixture
async def gateway(opened_data_dir: Path) -> AsyncIterator[Gateway]:
    async with connect(data_dir=opened_data_dir) as gateway:
        yield gateway


@pytest.fixture
def access(gateway: Gateway) -> Access:
    return Access(gateway, "http://127.0.0.1:7777")


def read(text: str) -> Any:
    assert len(text.encode()) <= MAX_ANSWER
    return orjson.loads(text)


async def record(job_id: str, number: int, **fields: Any) -> list[str]:
    """Record assets with long texts in a job, and return their ids."""
    long = {"prompt": "a cat with a hat " * 100}
    async with ProcessingContext(workflow_id="w", job_id=job_id) as context:
        made = [
            await context.create_asset(
                f"{n:03} {'long name ' * 30}.txt",
                content=b"%d\n" % n,
                node_id=f"n{n % 3}",
                metadata=long,
                tags=["tag " * 20],
                **fields,
            )
            for n in range(number)
        ]
    return [each.id for each in made]


async def test_pages_of_a_search_are_small_and_have_every_asset_once(access: Access) -> None:
    made = await record("j", 30)

    found: list[str] = []
    cursor: str | None = None
    while cursor != "":
        given = SearchArguments(job_id="j", sort="created_at", limit=100, cursor=cursor)
        page = read(await search(access, given))
        found += [each["id"] for each in page["assets"]]
        cursor = page.get("next", "")

    assert found == made


async def test_replay_lists_every_event_once_in_order(access: Access) -> None:
    made = await record("j", 30)

    found: list[Any] = []
    after: int | None = 0
    while after is not None:
        page = read(await replay(access, ReplayArguments(job_id="j", after=after, limit=200)))
        found += page["events"]
        after = page.get("next_after")

    created = [each["asset_id"] for each in found if each["topic"] == "asset.created"]
    assert created == made
    assert [each["position"] for each in found] == sorted({each["position"] for each in found})


async def test_usage_names_the_node_with_the_largest_file(access: Access) -> None:
    async with ProcessingContext(job_id="j") as context:
        for node, sizes in (("many", [10] * 9), ("large", [50])):
            for size in sizes:
                await context.create_asset("a", content=bytes(size), node_id=node)

    by_file = read(await usage(access, UsageArguments(sort="-largest", created_after="7d")))
    by_sum = read(await usage(access, UsageArguments(created_after="2026-01-01")))
    none = read(await usage(access, UsageArguments(created_before="7d")))

    assert [each["key"] for each in by_file["usage"]] == ["large", "many"]
    assert [each["key"] for each in by_sum["usage"]] == ["many", "large"]
    assert by_sum["created_after"] == "2026-01-01T00:00:00.000000Z"
    assert none["usage"] == []


async def test_jobs_are_listed_compared_and_shown_with_their_nodes(access: Access) -> None:
    await record("a", 5)
    await record("b", 6)

    listed = read(await job(access, JobArguments()))
    shown = read(await job(access, JobArguments(job_id="a")))
    compared = read(await compare(access, CompareArguments(a="a", b="b")))

    assert [each["job_id"] for each in listed["jobs"]] == ["b", "a"]
    assert [each["node_id"] for each in shown["nodes"]] == ["n0", "n1", "n2"]
    assert shown["console"] == "http://127.0.0.1:7777/jobs/a"
    assert compared["counts"] == {"same": 5, "different": 0, "only_a": 0, "only_b": 1}
    assert [each["status"] for each in compared["rows"]] == ["only_b"]


async def test_lineage_shows_the_nearest_assets_first(access: Access) -> None:
    async with ProcessingContext(job_id="j") as context:
        chain = [(await context.create_asset("0 " * 90, content=b"0")).id]
        for n in range(40):
            made = await context.create_asset("n " * 90, content=b"%d" % n, derived_from=chain[-1:])
            chain.append(made.id)

    found = read(await lineage(access, LineageArguments(asset_id=chain[0], depth=100)))
    middle = read(await lineage(access, LineageArguments(asset_id=chain[30], depth=1)))

    shown = [each["id"] for each in found["assets"]]
    assert 5 < len(shown) < 41
    assert shown == chain[: len(shown)]
    assert (found["found"], found["truncated"]) == (41, True)
    assert {each["id"] for each in middle["assets"]} == {*chain[29:32]}
    assert [chain[29], chain[30]] in middle["edges_from_to"]


LINES = b"".join(b"line %d\n" % n for n in range(1000))
WIDE = "ü".encode() * HEAD


@pytest.mark.parametrize(
    ("content", "text", "is_cut"),
    [
        (b"one\ntwo", "one\ntwo", False),
        (LINES, LINES[: LINES.rfind(b"\n", 0, HEAD) + 1].decode(), True),
        (b"x" + WIDE, "x" + "ü" * ((HEAD - 1) // 2), True),
        (b"", None, None),
        (b"\xff\xfe\x00\x01 no text", None, None),
        (b"a\0b", None, None),
    ],
)
async def test_preview_of_a_file_has_its_first_lines_if_it_is_text(
    access: Access, content: bytes, text: str | None, is_cut: bool | None
) -> None:
    async with ProcessingContext(job_id="j") as context:
        asset = await context.create_asset("a.bin", "application/octet-stream", content)

    shown = await preview(access, PreviewArguments(asset_id=asset.id))

    found = read(shown.json)
    assert (found.get("text") or None, found.get("text_is_cut") if text else None) == (text, is_cut)
    assert found["content"] == f"http://127.0.0.1:7777/api/assets/{asset.id}/content"
    assert shown.picture is None


async def test_preview_of_a_picture_is_a_small_webp(access: Access) -> None:
    noise = Image.effect_noise((900, 900), 100)
    drawn = io.BytesIO()
    noise.save(drawn, "PNG")
    async with ProcessingContext(job_id="j") as context:
        asset = await context.create_asset("a.png", content=drawn.getvalue())
        broken = await context.create_asset("b.png", "image/png", b"no picture")

    shown = await preview(access, PreviewArguments(asset_id=asset.id))
    failed = await preview(access, PreviewArguments(asset_id=broken.id))

    assert shown.picture is not None
    assert len(shown.picture) <= MAX_PICTURE
    assert Image.open(io.BytesIO(shown.picture)).format == "WEBP"
    assert failed.picture is None
    assert "no_picture" in read(failed.json)


async def test_verify_holds_until_the_bytes_of_a_file_change(
    access: Access, opened_data_dir: Path
) -> None:
    async with ProcessingContext(job_id="j") as context:
        large = await context.create_asset("large", content=bytes(100_000))
        await context.create_asset("small", content=b"small")
    of_job, of_asset = VerifyArguments(job_id="j"), VerifyArguments(asset_id=large.id)
    before = [read(await verify(access, each)) for each in (of_job, of_asset)]

    (stored,) = opened_data_dir.rglob(str(large.digest).removeprefix("sha256:"))
    stored.chmod(0o600)
    stored.write_bytes(b"1" * 100_000)
    after = [read(await verify(access, each)) for each in (of_job, of_asset)]

    assert [each["holds"] for each in before] == [True, True]
    assert [each["files"]["checked"] for each in before] == [2, 1]
    assert [each["holds"] for each in after] == [False, False]
    assert large.id in after[1]["wrong"][0].replace("-", "")


async def test_unknown_ids_are_refused(access: Access) -> None:
    with pytest.raises(UnknownJobError):
        await replay(access, ReplayArguments(job_id="none"))
    with pytest.raises(UnknownJobError):
        await verify(access, VerifyArguments(job_id="none"))
    with pytest.raises(UnknownAssetError):
        await preview(access, PreviewArguments(asset_id="none"))
    with pytest.raises(RefusedError, match="either a job_id or an asset_id"):
        await verify(access, VerifyArguments())


@pytest.mark.parametrize(
    ("model", "given", "refusal"),
    [
        (SearchArguments, {"colour": "red"}, "colour is no argument of this tool"),
        (ReplayArguments, {}, "job_id is required"),
        (SearchArguments, {"limit": 0}, "limit: Input should be greater than or equal to 1"),
        (UsageArguments, {"created_after": "last week"}, "created_after: must be a time such as"),
        (UsageArguments, {"created_after": "999999d"}, "created_after: is out of range"),
        (
            UsageArguments,
            {"created_after": "9999-12-31T23:59:59-14:00"},
            "created_after: is out of",
        ),
        (ReplayArguments, {"job_id": "j", "after": 10**30}, "after: Input should be less than"),
        (ReplayArguments, {"job_id": "j", "attempt": 10**30}, "attempt: Input should be less"),
        (JobArguments, {"started_after": "2026-02-31"}, "started_after: must be a time such as"),
        (SearchArguments, {"sort": "colour"}, "sort: Input should be 'created_at'"),
    ],
)
def test_odd_arguments_are_refused_in_one_line(
    model: type[arguments.Arguments], given: Any, refusal: str
) -> None:
    with pytest.raises(ValidationError) as error:
        model.model_validate(given)

    message = arguments.refusal_of(error.value)
    assert message.startswith(refusal)
    assert "\n" not in message


def test_null_and_numbers_in_texts_are_accepted() -> None:
    given = SearchArguments.model_validate({"node_id": None, "limit": "5"})

    assert (given.node_id, given.limit) == (None, 5)


@pytest.mark.parametrize("module", ["mcp", "mcp_types"])  # version 1 lacks the second
def test_command_names_the_extra_when_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    done = CliRunner().invoke(cli, ["mcp"])

    assert "pip install 'asset-ledger[mcp]'" in done.output
    assert done.exit_code != 0
