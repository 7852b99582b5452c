"""A server with a committer process behaves like a server that commits in a thread."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.api.workers import committer_process
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.errors import (
    KeyReusedError,
    LedgerError,
    PoisonEventError,
    VersionConflictError,
)
from asset_ledger.ledger.ids import AssetId, new_asset_id
from tests.api.http.test_events import stream, take
from tests.api.running import Api, serving
from tests.api.workers.busy import (
    CALLERS,
    PATIENCE,
    children,
    until,
    upload_together,
    with_process,
)
from tests.builders import command, command_key, created
from tests.journeys.audit import audit
from tests.journeys.server import run


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with with_process(opened_data_dir) as api:
        yield api


def verified(data_dir: Path) -> list[str]:
    done = run("verify", "--data-dir", data_dir)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout.splitlines()


async def listed(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = {}
    cursor = ""
    while True:
        page = (await api.get(f"/api/assets?page_size=1000&cursor={cursor}")).json
        found |= {asset["id"]: asset for asset in page["assets"]}
        if not (cursor := page["next"]):
            return found


async def check_kept(api: Api, assets: list[Any]) -> None:
    """Check that the table has each asset as it was answered, and that its bytes are stored."""
    shown = await listed(api)
    for asset in assets:
        assert shown[asset["id"]] == asset
        content = (await api.get(asset["get_url"])).body
        assert content.startswith(f"{asset['name']}.".encode())
        assert len(content) == asset["size"]


async def job_seqs(api: Api, job_id: str) -> list[int]:
    answer = await api.get(f"/api/jobs/{job_id}/history", Accept="application/x-ndjson")
    return [orjson.loads(line)["job_seq"] for line in answer.body.splitlines()]


async def test_a_committer_process_loses_nothing_and_ends_with_its_server(data_dir: Path) -> None:
    async with with_process(data_dir) as api:
        assert len(children()) == 1
        assets = await upload_together(api, "small", job_id="j")
        assets += await upload_together(api, "large", size=70_000, job_id="j")

        await check_kept(api, assets)
        assert await job_seqs(api, "j") == [*range(1, len(assets) + 1)]
        assert (await api.get("/readyz")).status == 200
        assert len(children()) == 1

    assert children() == []
    assert len(audit(data_dir)) == len(assets) + 1
    assert len(verified(data_dir)) == 5


async def test_a_server_without_a_worker_commits_in_a_thread(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        for n in range(4):
            await upload_together(api, n)

        assert children() == []


async def test_a_rebuild_and_a_rollback_switch_the_tables_of_the_committer(
    api: Api, data_dir: Path
) -> None:
    assets = await upload_together(api, "before")
    api.backend.rebuilds.start()
    assets += await upload_together(api, "beside")
    ended = await api.backend.rebuilds.wait()
    assert ended is not None
    assert (ended.result, api.backend.projections.generation.number) == ("switched", 2)
    assets += await upload_together(api, "after")
    await check_kept(api, assets)

    await api.backend.rebuilds.roll_back()
    ended = await api.backend.rebuilds.wait()
    assert ended is not None
    assert (ended.result, api.backend.projections.generation.number) == ("switched", 1)
    assets += await upload_together(api, "back")
    await check_kept(api, assets)
    assert len(children()) == 1


async def test_an_answered_write_is_readable_at_once(api: Api) -> None:
    """The new positions of log and tables are published before the callers are answered."""

    async def upload_and_read(n: int) -> None:
        asset = await api.created(b"x", name=f"read {n}")
        path = f"/api/assets?page_size=1000&sort=-created_at&min_position={asset['position']}"
        answer = await api.get(path)
        assert asset in answer.json["assets"]
        assert (await api.get(f"/api/assets/{asset['id']}/history")).status == 200

    await asyncio.gather(*(upload_and_read(n) for n in range(CALLERS)))


def unreadable(asset_id: AssetId) -> Event:
    """An event that no projection accepts."""
    return created(originator_id=asset_id, derived_from=5)


async def refusals(api: Api) -> list[LedgerError]:
    """Append commands that the log or the tables refuse. Return the errors."""
    append, asset_id = api.backend.committer.append, new_asset_id()
    await append(command(created(originator_id=asset_id), key=command_key(key=asset_id)))
    refused = [
        command(created(originator_id=asset_id)),
        command(created(originator_id=new_asset_id()), guards={asset_id: 7}),
        command(
            created(originator_id=new_asset_id()), key=command_key(key=asset_id, fingerprint="g")
        ),
        command(unreadable(new_asset_id())),
    ]
    outcomes = await asyncio.gather(*map(append, refused), return_exceptions=True)
    return [outcome for outcome in outcomes if isinstance(outcome, LedgerError)]


async def test_a_refusal_is_the_same_in_a_process_and_in_a_thread(api: Api, data_dir: Path) -> None:
    in_process = await refusals(api)
    async with serving(Settings(data_dir=data_dir.with_name("thread"))) as thread:
        in_thread = await refusals(thread)

    kinds = [VersionConflictError, VersionConflictError, KeyReusedError, PoisonEventError]
    assert [type(error) for error in in_thread] == kinds
    assert [type(error) for error in in_process] == kinds
    for one, other in zip(in_thread, in_process, strict=True):
        assert vars(one).keys() == vars(other).keys()
    _, _, reused, poison = in_process
    assert isinstance(reused, KeyReusedError)
    refusal = f"Idempotency-Key {reused.key!r} was used before, for another request: send a new key"
    assert str(reused) == refusal
    assert isinstance(poison, PoisonEventError)
    assert (poison.position, poison.cause) == (api.head() + 1, "refused by a projection")


async def test_a_refused_command_does_not_affect_its_group(api: Api) -> None:
    before = api.head()

    refused, assets = await asyncio.gather(refusals(api), upload_together(api, "beside"))

    assert len(refused) == 4
    assert api.head() == before + CALLERS + 1
    await check_kept(api, assets)


async def test_an_idempotency_key_records_once_for_concurrent_callers_and_after_a_restart(
    data_dir: Path,
) -> None:
    async def keyed(api: Api, key: str) -> tuple[Any, bool]:
        answer = await api.upload(b"once", name=key, headers={"Idempotency-Key": key})
        assert answer.status == 201, answer.body
        return answer.json, "Idempotency-Replayed" in answer.headers

    async with with_process(data_dir) as api:
        early, _ = await keyed(api, "early")
        late = await asyncio.gather(*(keyed(api, "late") for _ in range(CALLERS)))
        assert await keyed(api, "early") == (early, True)
    async with serving(Settings(data_dir=data_dir)) as api:
        assert await keyed(api, "early") == (early, True)
        assert await keyed(api, "late") == (late[0][0], True)
        names = [asset["name"] for asset in (await listed(api)).values()]

    assert sorted(replayed for _, replayed in late) == [False] + [True] * (CALLERS - 1)
    assert (names.count("early"), names.count("late")) == (1, 1)


async def test_a_checkpoint_is_signed_and_the_key_is_rotated(api: Api) -> None:
    before = await api.backend.proofs.checkpoint()
    await upload_together(api, "grown")

    grown = await api.backend.proofs.checkpoint()
    assert before.size < grown.size == api.head()
    rotated = await api.backend.proofs.rotate(by="1")
    after = await api.backend.proofs.checkpoint()

    assert after.size == grown.size + 1 == rotated.since
    assert (await api.get("/api/log/checkpoint")).status == 200


async def test_one_of_two_folders_moving_into_each_other_is_refused(api: Api) -> None:
    async def folder() -> str:
        return str((await api.created(None, name="f", content_type="folder"))["id"])

    async def move(asset_id: str, parent_id: str) -> int:
        sent = {"parent_id": parent_id}
        return (await api.call("PUT", f"/api/assets/{asset_id}", json=sent)).status

    for _ in range(8):
        one, other = await folder(), await folder()
        statuses = await asyncio.gather(move(one, other), move(other, one))
        assert min(statuses) == 200
        assert max(statuses) in (400, 409, 422)


async def test_every_kind_of_write_is_committed(data_dir: Path) -> None:
    async with with_process(data_dir) as api:
        await write_of_every_kind(api)
        head = api.head()

    assert len(audit(data_dir)) == head


async def write_of_every_kind(api: Api) -> None:
    deep = orjson.loads(b'{"a":' * 98 + b"1" + b"}" * 98)
    folder = (await api.created(None, name="folder", content_type="folder"))["id"]
    asset = (await api.created(b"one", name="one", parent_id=folder, job_id="k"))["id"]
    path = f"/api/assets/{asset}"

    async def call(method: str, path: str, **options: Any) -> Any:
        answer = await api.call(method, path, **options)
        assert answer.status in (200, 201), answer.body
        return answer.json

    await call("POST", "/api/jobs/k/start")
    await call("PUT", path, json={"name": "two", "metadata": deep, "tags": ["a"], "duration": 1.5})
    merged = {"Content-Type": "application/merge-patch+json"}
    await call("PATCH", path, data=b'{"metadata": {"a": null, "b": 1}}', headers=merged)
    await call("PUT", f"{path}/content", data=b"other bytes")
    assert asset in (await call("DELETE", f"/api/assets/{folder}"))["deleted_asset_ids"]
    await call("POST", f"/api/assets/{folder}/restore")
    line = orjson.dumps({"id": "ab" * 16, "name": "imported", "content_base64": "AAAA"})
    kind = {"Content-Type": "application/x-ndjson"}
    await call("POST", "/api/import", data=line + b"\n", headers=kind)
    await call("POST", "/api/jobs/k/finish", json={"status": "completed"})

    shown = (await listed(api))[asset]
    assert (shown["name"], shown["metadata"], shown["size"]) == ("two", {"b": 1}, 11)
    assert await job_seqs(api, "k") == [*range(1, len(await job_seqs(api, "k")) + 1)]


async def test_a_subscriber_receives_each_event_once(data_dir: Path) -> None:
    async with with_process(data_dir) as api:
        async with stream(api, "?all=true") as blocks:
            for round_ in range(4):
                await upload_together(api, round_)
            last = api.head()
            received = await take(blocks, last - 1)
            await api.created(name="the next one")
            received += await take(blocks, 1)

        assert [int(each.id) for each in received] == [*range(2, last + 2)]
        events = (await api.get("/api/events?all=true&limit=1000")).json["events"]
        assert [each.data for each in received][: len(events) - 1] == events[1:]
    assert len(audit(data_dir)) == last + 1


async def test_a_server_that_stops_while_its_committer_starts_leaves_no_process(
    data_dir: Path,
) -> None:
    starting = asyncio.create_task(_start(data_dir))
    await until(children)
    starting.cancel()
    await asyncio.wait([starting])

    assert children() == []
    async with with_process(data_dir) as api:
        await api.created()
    verified(data_dir)


async def test_a_start_says_that_it_waits_for_a_committer_that_stands_still(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(committer_process, "SAID", 1.0)
    starting = asyncio.create_task(_start(data_dir))
    await until(children)
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)

    await until(lambda: f"waiting for the committer process {pid}," in caplog.text)

    starting.cancel()
    await asyncio.wait([starting])
    assert children() == []


async def _start(data_dir: Path) -> None:
    async with with_process(data_dir):
        await asyncio.sleep(PATIENCE)
