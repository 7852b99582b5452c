"""Collection: what is retained, what goes, and races with uploads and restores of its bytes."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api import upkeep
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.audit import rows
from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.audit.folder import Audit
from asset_ledger.ledger.commands import restore
from asset_ledger.ledger.commands.collection_plan import OpenPlan
from asset_ledger.ledger.commit.requests import Committed
from asset_ledger.ledger.content import packs
from asset_ledger.ledger.content.store import SMALL
from asset_ledger.ledger.storage.data_folder import ContentFolder, DataFolder
from tests.api.cli.test_audit_bundle import unpacked
from tests.api.cli.test_audit_bundle import verified as verified_bundle
from tests.api.running import Api, flags_of, serving
from tests.journeys.server import program, run, until
from tests.journeys.server import serving as process

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
    """Return the bytes of all contents in a data folder; a collection may remove some meanwhile."""
    size = 0
    for folder, _, names in os.walk(data_dir / "content"):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(folder, name).stat().st_size
    return size


def verified(data_dir: Path) -> None:
    done = run("verify", *flags_of(data_dir))
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
@pytest.mark.parametrize("purge", [True, False])
async def test_collected_bytes_of_a_deleted_asset_answer_410_with_the_time(
    api: Api, content: bytes, purge: bool
) -> None:
    asset = await api.created(content, name="a")
    await api.call("DELETE", f"/api/assets/{asset['id']}?purge={str(purge).lower()}")
    if not purge:
        assert (await api.get(asset["get_url"])).slug == "asset-deleted"
        await collect(api, retain_deleted="0")

    gone = await api.get(asset["get_url"])

    assert (gone.status, gone.slug) == (410, "content-collected")
    (event,) = (await api.get("/api/events?all=true&topic=content.collected")).json["events"]
    assert gone.json["collected_at"] == event["time"]
    picture = await api.get(f"/api/assets/{asset['id']}/thumbnail")
    assert (picture.status, picture.slug) == (410, "content-collected")
    assert (await api.get(f"/api/assets/{asset['id']}")).slug == "asset-deleted"


@either_size
async def test_collected_earlier_bytes_answer_410(api: Api, data_dir: Path, content: bytes) -> None:
    asset = await api.created(content, name="a")
    await api.call("PUT", f"/api/assets/{asset['id']}/content", data=b"new")

    done = await collect(api, retain_versions="0")

    assert done["count"] == 1
    gone = await api.get(f"{asset['get_url']}?version=1")
    assert (gone.status, gone.slug) == (410, "content-collected")
    assert gone.json["digest"] == asset["digest"]
    (event,) = (await api.get("/api/events?all=true&topic=content.collected")).json["events"]
    assert gone.json["collected_at"] == event["time"]
    assert (await api.get(asset["get_url"])).body == b"new"
    await asyncio.to_thread(verified, data_dir)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, 3),
        ({"retain_versions": "1"}, 2),
        ({"retain_versions": "0"}, 1),
        ({"retain_versions": "1d"}, 3),
        ({"retain_versions": "999999d"}, 3),
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


@pytest.mark.parametrize("time", ["30d", "999999d"])
async def test_a_tombstone_keeps_its_bytes_for_the_time_that_is_set(api: Api, time: str) -> None:
    asset = await deleted(api, b"a", name="a")

    done = await collect(api, retain_deleted=time)

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


@pytest.mark.in_a_folder("a database returns no space")
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


@pytest.mark.in_a_folder("a database has no packs")
async def test_files_of_other_programs_are_no_contents(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created(LARGE_BYTES)
        gone = await deleted(api, LARGE_BYTES + b"gone")
        (kept,) = (p for p in stored_files(data_dir) if gone["digest"][7:] != p.name)
        strays = [data_dir / "content" / "objects" / ".DS_Store", kept.with_name("notes.txt")]
        strays += [kept.parents[2] / "ab" / kept.name]  # where no content with this digest is
        for stray in strays:
            stray.parent.mkdir(exist_ok=True)
            stray.write_bytes(b"x")
        kept.with_name("0" * 64).symlink_to("/nowhere")
        for folder in ("objects", "tmp", "uploads", "packs"):
            (data_dir / "content" / folder / "lost+found").mkdir()
        planned = await collect(api, apply=False)

        done = await collect(api)

        assert [each["digest"] for each in planned["contents"]] == [gone["digest"]]
        assert (done["count"], kept.read_bytes()) == (1, LARGE_BYTES)
        assert all(stray.read_bytes() == b"x" for stray in strays)
    async with serving(Settings(data_dir=data_dir)) as api:
        assert (await collect(api))["count"] == 0


def stored_files(data_dir: Path) -> list[Path]:
    """Return the files of large contents."""
    return [path for path in (data_dir / "content" / "objects").rglob("*") if path.is_file()]


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


async def test_a_folder_is_restored_beyond_its_collected_contents(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "BATCH", 2)
    await api.created(b"kept", name="elsewhere")
    folder = await api.created(None, name="f", content_type="folder")
    inside = [
        await api.created(content, name="a", parent_id=folder["id"])
        for content in (b"1", b"2", b"3", b"kept", b"4", b"kept")
    ]
    await api.call("DELETE", f"/api/assets/{folder['id']}")
    assert (await collect(api))["count"] == 4

    restored = await api.call("POST", f"/api/assets/{folder['id']}/restore")

    assert restored.status == 200
    found = [(await api.get(f"/api/assets/{each['id']}")).status for each in inside]
    assert found == [410, 410, 410, 200, 410, 200]


async def test_a_purge_of_a_deleted_folder_removes_what_was_deleted_with_it(api: Api) -> None:
    folder = await api.created(None, name="f", content_type="folder")
    inner = await api.created(None, name="g", content_type="folder", parent_id=folder["id"])
    earlier = await deleted(api, b"earlier", name="e", parent_id=inner["id"])
    inside = [
        await api.created(content, name="a", parent_id=parent["id"])
        for content, parent in ((b"1", folder), (b"2", inner))
    ]
    await api.call("DELETE", f"/api/assets/{folder['id']}")

    purged = await api.call("DELETE", f"/api/assets/{folder['id']}?purge=true")

    assert (purged.status, purged.json) == (200, {"deleted_asset_ids": []})
    (event,) = (await api.get("/api/events?all=true&topic=content.collected")).json["events"]
    assert sorted(event["data"]["digests"]) == sorted(each["digest"] for each in inside)
    assert (await api.call("POST", f"/api/assets/{earlier['id']}/restore")).status == 200


@either_size
async def test_an_upload_after_the_plan_keeps_its_bytes(
    api: Api, data_dir: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `Command.collects`, the bytes of the second asset would be removed."""
    await deleted(api, content, name="a")
    other = await deleted(api, b"other", name="b")
    plan, uploaded = OpenPlan.next_batch, list[Any]()
    loop, append, positions = asyncio.get_running_loop(), api.backend.committer.append, list[Any]()

    def upload_first(opened: OpenPlan, limit: int) -> Any:
        if not uploaded:
            uploading = api.created(content, name="second")
            uploaded.append(asyncio.run_coroutine_threadsafe(uploading, loop).result())
        return plan(opened, limit)

    async def noted(command: Any, contents: Any = ()) -> Committed:
        positions.append(command.collects)
        return await append(command, contents)

    with monkeypatch.context() as patch:
        patch.setattr(OpenPlan, "next_batch", upload_first)
        patch.setattr(api.backend.committer, "append", noted)
        done = await collect(api)

    assert positions == [None, api.head() - 1]  # the committer has no event to check
    assert (done["count"], done["skipped"]) == (1, 1)
    assert (await api.get(uploaded[0]["get_url"])).body == content
    refused = await api.call("POST", f"/api/assets/{other['id']}/restore")
    assert refused.slug == "not-restorable"
    await asyncio.to_thread(verified, data_dir)


async def test_each_event_of_a_collection_has_one_reason_and_no_more_contents_than_a_batch(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asset_ledger.ledger.commands.collect.BATCH", 2)
    replaced = await api.created(b"old", name="a")
    await api.call("PUT", f"/api/assets/{replaced['id']}", json={"data": "new"})
    for number in range(3):
        await deleted(api, b"%d" % number, name="b")

    done = await collect(api, retain_versions="0")

    assert (done["count"], done["skipped"]) == (4, 0)
    events = (await api.get("/api/events?after=0&limit=1000&all=true")).json["events"]
    data = [each["data"] for each in events if each["topic"] == "content.collected"]
    batches = [(each["reason"], len(each["digests"])) for each in data]
    assert batches == [("deleted", 2), ("deleted", 1), ("superseded", 1)]


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


@pytest.mark.slow
async def test_a_collected_ledger_can_be_exported_backed_up_and_bundled(
    api: Api, data_dir: Path, tmp_path: Path
) -> None:
    for content in (SMALL_BYTES, LARGE_BYTES):
        await deleted(api, content, name="a", job_id="j")
        await deleted(api, b"again" + content, name="b", job_id="j")

    def command(*arguments: str | Path, folder: Path = data_dir) -> None:
        done = run(*arguments, "--data-dir", folder)
        assert done.returncode == 0, done.stdout + done.stderr

    await asyncio.to_thread(command, "backup", "create", tmp_path / "b", "--with-key")
    assert (await collect(api))["count"] == 4
    for content in (SMALL_BYTES, LARGE_BYTES):
        await api.created(b"again" + content, name="again")

    def everything() -> None:
        command("backup", "create", tmp_path / "b", "--with-key")
        command("backup", "create", tmp_path / "first", "--with-key")
        command("export", "ledger", tmp_path / "export")
        assert run("audit-bundle", "j", "-o", tmp_path / "j.zip", "--url", api.url).returncode == 0
        command("backup", "restore", tmp_path / "b", folder=tmp_path / "restored")
        command("backup", "restore", tmp_path / "first", folder=tmp_path / "second")
        command("import", "ledger", tmp_path / "export", folder=tmp_path / "imported")

    await asyncio.to_thread(everything)
    shutil.copy(data_dir / "checkpoint.key", tmp_path / "imported")
    for copy in ("restored", "second", "imported"):
        async with serving(Settings(data_dir=tmp_path / copy)) as other:
            (gone, *_) = (await other.get("/api/assets?deleted=true&name=a")).json["assets"]
            refused = await other.call("POST", f"/api/assets/{gone['id']}/restore")
            assert refused.slug == "not-restorable"
            for found in (await other.get("/api/assets?name=again")).json["assets"]:
                assert len((await other.get(found["get_url"])).body) == found["size"]
        await asyncio.to_thread(verified, tmp_path / copy)


@pytest.mark.parametrize("content", [SMALL_BYTES, LARGE_BYTES])
async def test_a_bundle_over_http_names_a_collected_version_as_absent(
    api: Api, tmp_path: Path, content: bytes
) -> None:
    asset = await api.created(content, name="a", job_id="j")
    fields = {"name": "a", "data": "new"}
    assert (await api.call("PUT", f"/api/assets/{asset['id']}", json=fields)).status == 200
    assert (await collect(api, retain_versions="0"))["count"] == 1

    answer = await api.get("/api/jobs/j/bundle")

    (tmp_path / "j.zip").write_bytes(answer.body)
    folder = await asyncio.to_thread(unpacked, tmp_path / "j.zip", tmp_path / "j")
    assert json.loads((folder / "manifest.json").read_bytes())["absent"] == [asset["digest"]]
    code, _ = await asyncio.to_thread(verified_bundle, folder)
    assert code == 0


@pytest.mark.slow
def test_the_command_lists_and_collects_without_a_server_and_with_one(data_dir: Path) -> None:
    async def fill() -> None:
        async with serving(Settings(data_dir=data_dir)) as api:
            await deleted(api, SMALL_BYTES, name="a")
            await deleted(api, LARGE_BYTES, name="b")

    asyncio.run(fill())
    flags = ("--data-dir", data_dir, "--retain-deleted", "0")
    planned = run("gc", *flags)
    assert (planned.returncode, planned.stderr) == (0, "")
    assert planned.stdout.splitlines()[-1].startswith("would collect 2 contents")
    assert planned.stdout.count("deleted    sha256:") == 2
    with process(data_dir, "--retain-deleted", "0") as server:
        assert "retain_deleted is 0: a collected asset cannot be restored" in server.errors
        assert run("gc", "--apply", *flags).stdout.startswith("collected 2 contents")
        assert server.stop() == 0
    assert run("gc", "--apply", *flags).stdout == "collected 0 contents (0 bytes)\n"
    verified(data_dir)


@pytest.mark.parametrize("value", ["30", "1y", "-1d", "all"])
async def test_an_invalid_retention_is_refused(api: Api, value: str) -> None:
    answer = await api.call("POST", "/api/collection", json={"retain_deleted": value})

    assert (answer.status, answer.slug) == (422, "bad-field")


async def test_a_server_collects_by_itself_at_the_interval(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir, gc_interval="1s", retain_deleted="0")
    async with serving(settings) as api:
        await deleted(api, SMALL_BYTES, name="a")
        async with asyncio.timeout(60):
            await api.backend.feed.wait_beyond(3)
        (event,) = (await api.get("/api/events?all=true&topic=content.collected")).json["events"]
        assert event["by"] == "system"


async def test_a_server_that_restarts_more_often_than_the_interval_collects(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=data_dir, gc_interval="1d", retain_deleted="0")
    async with serving(settings) as api:
        await deleted(api, SMALL_BYTES, name="a")
    monkeypatch.setattr(upkeep, "FIRST_COLLECTION", 0.0)  # instead of an hour
    async with serving(settings) as api, asyncio.timeout(60):
        await api.backend.feed.wait_beyond(3)


@pytest.mark.slow
def test_a_kill_at_any_instant_of_a_collection_leaves_a_whole_ledger(data_dir: Path) -> None:
    async def fill(first: int) -> None:
        async with serving(Settings(data_dir=data_dir)) as api:
            for number in range(first, first + 60):
                await deleted(api, number.to_bytes(4, "big") * 9_000, name="small")
                await deleted(api, number.to_bytes(4, "big") * 20_000, name="large")
            await api.created(number.to_bytes(4, "big") * 5_000, name="kept")

    flags = ("gc", "--apply", "--data-dir", data_dir, "--retain-deleted", "0")
    for rounds in range(6):
        asyncio.run(fill(rounds * 60))
        size = stored(data_dir)
        with program(*flags) as command:
            until(
                lambda: command.poll() is not None or stored(data_dir) <= size - rounds * 400_000,  # noqa: B023
                "the collection removes files",
            )
            command.kill()
        verified(data_dir)
    done = run(*flags)
    assert done.returncode == 0, done.stderr
    assert stored(data_dir) < 6 * 20_000 + 2**20
    verified(data_dir)


async def test_metrics_have_the_bytes_of_each_state(api: Api) -> None:
    live = await api.created(LARGE_BYTES, name="live")
    await deleted(api, SMALL_BYTES, name="deleted")
    for content in (b"1", b"22", b"333"):
        await api.call("PUT", f"/api/assets/{live['id']}/content", data=content)
    await collect(api, apply=False, retain_deleted="30d", retain_versions="1")

    found = await stored_by_state(api)

    assert found == {
        "live": (1, 3),
        "superseded": (1, 2),
        "deleted": (1, len(SMALL_BYTES)),
        "collectable": (2, 1 + len(LARGE_BYTES)),
    }
    await collect(api, retain_deleted="0", retain_versions="0")
    assert await stored_by_state(api) == {
        "live": (1, 3),
        "superseded": (0, 0),
        "deleted": (0, 0),
        "collectable": (0, 0),
    }
    assert b"\nasset_ledger_free_bytes " in (await api.get("/metrics")).body


async def stored_by_state(api: Api) -> dict[str, tuple[int, int]]:
    text = (await api.get("/metrics")).body.decode()
    pattern = r'^asset_ledger_{}\{{state="(\w+)"\}} (\S+)$'
    contents, sizes = (
        {
            state: int(float(value))
            for state, value in re.findall(pattern.format(name), text, re.MULTILINE)
        }
        for name in ("contents", "content_bytes")
    )
    return {state: (contents[state], sizes[state]) for state in contents}


@pytest.mark.in_a_folder("it audits the files")
async def test_an_audit_finds_nothing_wrong_with_what_a_collection_moves_or_removes(
    api: Api, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "PACK_SIZE", 8 * SMALL)  # three packs, of which little is kept
    monkeypatch.setattr(rows, "PAGE", 1)  # the audit says how far it is after each content
    for n in range(24):
        await (deleted if n % 8 else Api.created)(api, b"%09d" % n * (SMALL // 10))
    await api.created(LARGE_BYTES + b"kept")
    large = await deleted(api, LARGE_BYTES)
    loop, collected = asyncio.get_running_loop(), list[Any]()

    def collect_once(phase: str, done: int, total: int) -> None:
        if phase == "reading contents" and not collected:
            collected.append(asyncio.run_coroutine_threadsafe(collect(api), loop).result())

    def audited() -> list[Finding]:
        with closing(Audit(DataFolder(data_dir), tmp_path)) as audit:
            return list(audit.findings(collect_once))

    assert await asyncio.to_thread(audited) == []
    assert (collected[0]["count"], collected[0]["packs"]) == (21 + 1, 3)
    assert not ContentFolder(data_dir / "content").object(large["digest"]).exists()
