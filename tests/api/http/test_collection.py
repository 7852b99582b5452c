"""Collection: what is retained, what goes, and races with uploads and restores of the same bytes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commit.requests import Committed
from asset_ledger.ledger.content.store import SMALL
from tests.api.running import Api, serving
from tests.journeys.server import run

SMALL_BYTES, LARGE_BYTES = b"small" * 1_000, b"large" * SMALL
APPLY = {"apply": True, "retain_deleted": "0"}

either_size = pytest.mark.parametrize("content", [SMALL_BYTES, LARGE_BYTES], ids=["small", "large"])


@pytest.fixture
async def api(data_dir: Path) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=data_dir)) as running:
        yield running


async def collect(api: Api, **options: Any) -> Any:
    answer = await api.call("POST", "/api/collection", json=APPLY | options)
    assert answer.status == 200, answer.body
    return answer.json


async def deleted(api: Api, content: bytes, **fields: Any) -> Any:
    asset = await api.created(content, **fields)
    assert (await api.call("DELETE", f"/api/assets/{asset['id']}")).status == 200
    return asset


def stored(data_dir: Path) -> int:
    """Return the bytes of all contents in a data folder."""
    return sum(p.stat().st_size for p in (data_dir / "content").rglob("*") if p.is_file())


def verified(data_dir: Path) -> None:
    done = run("verify", "--data-dir", data_dir)
    assert done.returncode == 0, done.stdout


@either_size
async def test_collected_bytes_are_gone_and_the_history_stays(
    api: Api, data_dir: Path, content: bytes
) -> None:
    asset = await deleted(api, content, name="a")
    before = api.head()

    planned = await collect(api, apply=False)
    done = await collect(api)

    assert [each["digest"] for each in planned["contents"]] == [asset["digest"]]
    assert (planned["applied"], done["applied"], done["count"]) == (False, True, 1)
    assert done["size"] == planned["size"] == len(content)
    as_of = await api.get(f"/api/assets/{asset['id']}?as_of={before - 1}")
    assert as_of.json["digest"] == asset["digest"]
    (event,) = (await api.get("/api/events?all=true&topic=content.collected")).json["events"]
    assert event["data"] == {
        "digests": [asset["digest"]],
        "size": len(content),
        "reason": "deleted",
    }
    refused = await api.call("POST", f"/api/assets/{asset['id']}/restore")
    assert (refused.status, refused.slug) == (409, "not-restorable")
    assert refused.json["collected_at"] == event["time"]
    again = await api.created(content, name="again")
    assert (await api.get(again["get_url"])).body == content
    restored = await api.call("POST", f"/api/assets/{asset['id']}/restore")
    assert restored.status == 200
    assert (await api.get(asset["get_url"])).body == content
    await asyncio.to_thread(verified, data_dir)


@either_size
async def test_collected_earlier_bytes_answer_410(api: Api, data_dir: Path, content: bytes) -> None:
    asset = await api.created(content, name="a")
    await api.call("PUT", f"/api/assets/{asset['id']}/content", data=b"new")

    done = await collect(api, retain_versions="0")

    assert done["count"] == 1
    gone = await api.get(f"{asset['get_url']}?version=1")
    assert (gone.status, gone.slug) == (410, "content-collected")
    assert gone.json["digest"] == asset["digest"]
    assert (await api.get(asset["get_url"])).body == b"new"
    await asyncio.to_thread(verified, data_dir)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, 3),
        ({"retain_versions": "1"}, 2),
        ({"retain_versions": "0"}, 1),
        ({"retain_versions": "1d"}, 3),
    ],
)
async def test_earlier_versions_are_retained_as_set(
    api: Api, options: dict[str, str], left: int
) -> None:
    asset = await api.created(b"1", name="a")
    for content in (b"2", b"3"):
        await api.call("PUT", f"/api/assets/{asset['id']}/content", data=content)

    await collect(api, **options)

    url = asset["get_url"]
    found = [(await api.get(f"{url}?version={version}")).status for version in (1, 2, 3)]
    assert found == [410] * (3 - left) + [200] * left


async def test_a_tombstone_keeps_its_bytes_for_the_time_that_is_set(api: Api) -> None:
    asset = await deleted(api, b"a", name="a")

    done = await collect(api, retain_deleted="30d")

    assert done["count"] == 0
    assert (await api.call("POST", f"/api/assets/{asset['id']}/restore")).status == 200


@either_size
async def test_shared_bytes_stay_while_one_user_has_them(api: Api, content: bytes) -> None:
    await deleted(api, content, name="a")
    headers = {"Asset-Ledger-User": "alice"}
    kept = (await api.upload(content, headers=headers, name="b")).json

    assert (await collect(api))["count"] == 0
    found = await api.call("GET", kept["get_url"], headers=headers)
    assert found.body == content


async def test_space_returns_to_the_file_system(api: Api, data_dir: Path) -> None:
    kept = await api.created(b"kept" * 1_000, name="kept")
    for number in range(100):
        await deleted(api, number.to_bytes(2, "big") * 25_000, name=f"{number}")
    await deleted(api, LARGE_BYTES, name="large")
    assert stored(data_dir) > 5_000_000

    done = await collect(api)

    assert (done["count"], done["packs"]) == (101, 1)
    assert stored(data_dir) < 500_000
    assert (await api.get(kept["get_url"])).body == b"kept" * 1_000
    await asyncio.to_thread(verified, data_dir)


@either_size
async def test_purge_removes_the_bytes_at_once(api: Api, data_dir: Path, content: bytes) -> None:
    other = await api.created(b"other", name="other")
    asset = await api.created(content, name="a")
    kept = await deleted(api, b"kept", name="kept")

    answer = await api.call("DELETE", f"/api/assets/{asset['id']}?purge=true")

    assert answer.json == {"deleted_asset_ids": [asset["id"]]}
    files = [path for path in (data_dir / "content").rglob("*") if path.is_file()]
    assert not any(content in path.read_bytes() for path in files)
    assert (await api.get(other["get_url"])).body == b"other"
    assert (await api.call("POST", f"/api/assets/{kept['id']}/restore")).status == 200


@either_size
async def test_an_upload_after_the_plan_keeps_its_bytes(
    api: Api, data_dir: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `Command.collects`, the bytes of the second asset would be removed."""
    await deleted(api, content, name="a")
    other = await deleted(api, b"other", name="b")
    plan, uploaded = api.backend.collect.plan, list[Any]()

    async def then_upload(*arguments: Any) -> Any:
        planned = await plan(*arguments)
        uploaded.append(await api.created(content, name="second"))
        return planned

    monkeypatch.setattr(api.backend.collect, "plan", then_upload)
    done = await collect(api)

    assert (done["count"], done["skipped"]) == (1, 1)
    assert (await api.get(uploaded[0]["get_url"])).body == content
    refused = await api.call("POST", f"/api/assets/{other['id']}/restore")
    assert refused.slug == "not-restorable"
    await asyncio.to_thread(verified, data_dir)


@either_size
async def test_an_upload_that_is_not_committed_yet_keeps_its_bytes(
    api: Api, data_dir: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `CheckedContents.using`, the file would be removed between publish and commit."""
    await deleted(api, content, name="a")
    append = api.backend.committer.append

    async def collect_first(command: Any, contents: Any = ()) -> Committed:
        if command.collects is None:
            monkeypatch.setattr(api.backend.committer, "append", append)
            await collect(api)
        return await append(command, contents)

    monkeypatch.setattr(api.backend.committer, "append", collect_first)
    second = await api.created(content, name="second")

    assert (await api.get(second["get_url"])).body == content
    await asyncio.to_thread(verified, data_dir)


@either_size
async def test_a_restore_that_meets_a_collection_is_refused(
    api: Api, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the guard on the ledger's stream, a live asset would have no bytes."""
    asset = await deleted(api, content, name="a")
    append = api.backend.committer.append

    async def collect_first(command: Any, contents: Any = ()) -> Committed:
        if command.collects is None:
            monkeypatch.setattr(api.backend.committer, "append", append)
            assert (await collect(api))["count"] == 1
        return await append(command, contents)

    monkeypatch.setattr(api.backend.committer, "append", collect_first)
    refused = await api.call("POST", f"/api/assets/{asset['id']}/restore")

    assert (refused.status, refused.slug) == (409, "not-restorable")
