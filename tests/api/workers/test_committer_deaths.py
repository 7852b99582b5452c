"""The committer process dies: every caller gets an answer, no acknowledged write is lost."""

import asyncio
import os
import resource
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.workers import committer_process
from asset_ledger.ledger.storage.folder_lock import hold_committer_lock
from tests.api.http.test_events import stream, take
from tests.api.running import Api
from tests.api.workers.busy import CALLERS, children, kill, until, upload_together, with_process
from tests.api.workers.test_committer_process import listed, verified
from tests.journeys.audit import audit, events_in
from tests.journeys.write_lock import write_locked

pytestmark = pytest.mark.slow

UNKNOWN = (503, "outcome-unknown")


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with with_process(opened_data_dir) as api:
        yield api


async def upload_until_recorded(api: Api, key: str, statuses: Counter[int]) -> Any:
    """Upload with a key, and retry while the outcome is unknown. Return the asset."""
    while True:
        answer = await api.upload(key.encode(), name=key, headers={"Idempotency-Key": key})
        statuses[answer.status] += 1
        if answer.status in (201, 202):
            return answer.json
        assert (answer.status, answer.slug) == UNKNOWN


async def check_recorded_once(api: Api, data_dir: Path, keys: list[str]) -> None:
    """Check that each asset is in the table and in the log once, and that the log is whole."""
    await until(lambda: api.backend.projections.position == api.head())
    assert sorted(asset["name"] for asset in (await listed(api)).values()) == sorted(keys)
    named = [f.fields["private"]["name"] for f in audit(data_dir) if f.topic == "asset.created"]
    assert sorted(named) == sorted(keys)


def is_restarted(api: Api, before: list[int]) -> bool:
    """Return whether a new process commits now."""
    return api.backend.committer.is_alive and bool(children()) and children() != before


@pytest.mark.parametrize("answers", [20, 100, 300])
async def test_a_kill_under_load_is_survived_by_retries(
    api: Api, data_dir: Path, answers: int
) -> None:
    statuses: Counter[int] = Counter()

    async def uploader(name: int) -> list[str]:
        keys = [f"{name}.{n}" for n in range(20)]
        return [(await upload_until_recorded(api, key, statuses))["name"] for key in keys]

    uploads = [asyncio.create_task(uploader(n)) for n in range(CALLERS)]
    await until(lambda: statuses[201] > answers)
    before = children()
    kill(before)
    async with asyncio.timeout(60):
        names = [name for upload in uploads for name in await upload]

    assert is_restarted(api, before)
    assert len(children()) == 1
    assert (await api.get("/readyz")).status == 200
    await check_recorded_once(api, data_dir, names)
    verified(data_dir)


async def test_a_kill_between_event_and_table_answers_outcome_unknown(
    api: Api, data_dir: Path
) -> None:
    """Subscribers get the recorded event without another write."""
    key = {"Idempotency-Key": "k"}
    async with stream(api, "?all=true") as blocks:
        last, before = api.head(), children()
        with write_locked(data_dir / "projections.g1.db"):
            upload = asyncio.create_task(api.upload(b"k", name="k", headers=key))
            await until(lambda: len(events_in(data_dir)) > last)
            kill(before)
            answer = await upload
            assert (answer.status, answer.slug) == UNKNOWN
        (block,) = await take(blocks, 1)
        retry = await api.upload(b"k", name="k", headers=key)
        assert retry.status == 201

    assert (int(block.id), block.data["asset_id"]) == (last + 1, retry.json["id"])
    await check_recorded_once(api, data_dir, ["k"])


async def test_an_idle_committer_is_restarted_after_a_kill(api: Api, data_dir: Path) -> None:
    before = children()
    kill(before)
    await until(lambda: is_restarted(api, before))

    await api.created(b"after", name="after")

    await check_recorded_once(api, data_dir, ["after"])


async def test_a_committer_that_stands_still_while_it_opens_its_files_is_replaced(
    api: Api, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer_process, "OPENING", 2.0)
    before = children()
    kill(before)
    await until(lambda: not api.backend.committer.is_alive and {*children()} - {*before})
    stopped = [pid for pid in children() if pid not in before]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)

    await until(lambda: is_restarted(api, stopped))

    assert not {*stopped} & {*children()}
    await api.created(b"after", name="after")
    await check_recorded_once(api, data_dir, ["after"])


async def test_writes_wait_while_the_committer_restarts(api: Api, data_dir: Path) -> None:
    with ExitStack() as stack:
        kill(children())
        await until(lambda: not api.backend.committer.is_alive)
        await asyncio.to_thread(stack.enter_context, hold_committer_lock(data_dir))
        uploads = asyncio.create_task(upload_together(api, "waits"))
        await until(lambda: api.backend.committer.slots.taken == CALLERS)
        assert (await api.get("/readyz")).status == 503

    names = [asset["name"] for asset in await uploads]

    await check_recorded_once(api, data_dir, names)


async def test_a_suspended_and_killed_committer_answers_outcome_unknown(
    api: Api, data_dir: Path
) -> None:
    statuses: Counter[int] = Counter()
    before = children()
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    uploads = [
        asyncio.create_task(upload_until_recorded(api, f"{n}", statuses)) for n in range(CALLERS)
    ]
    await until(lambda: api.backend.committer.slots.taken == CALLERS)
    await asyncio.sleep(0)
    kill(before)
    names = [asset["name"] for asset in await asyncio.gather(*uploads)]

    await check_recorded_once(api, data_dir, names)


async def test_writes_are_refused_until_a_committer_can_start(
    api: Api,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(committer_process, "WORKER", "asset_ledger.api.workers.nothing")
        kill(children())
        await until(lambda: "the committer does not start" in caplog.text)
        refused = await api.upload(b"x", name="x")
        assert (refused.status, refused.slug) == (503, "storage-failed")
        assert (await api.get("/readyz")).status == 503
        assert (await api.get("/api/assets")).status == 200
    await until(lambda: api.backend.committer.is_alive)

    names = [asset["name"] for asset in await upload_together(api, "after")]

    assert (await api.get("/readyz")).status == 200
    await check_recorded_once(api, data_dir, names)


async def test_a_ledger_stays_read_only_after_a_disk_failure(api: Api, data_dir: Path) -> None:
    """After a failed fsync, the next fsync would report lost pages as written."""
    kept: list[str] = []
    (pid,) = children()
    resource.prlimit(
        pid, resource.RLIMIT_FSIZE, (4096, 4096)
    )  # a write beyond 4096 bytes is an I/O error
    while (answer := await api.upload(b"x", name="x")).status == 201:
        kept.append("x")
    assert (answer.status, answer.slug) == (503, "storage-failed")

    refused = await asyncio.gather(*(api.upload(b"z", name="z") for _ in range(CALLERS)))

    assert {each.slug for each in refused} == {"storage-failed"}
    assert (await api.get("/readyz")).status == 503
    assert children() == [pid]
    assert sorted(asset["name"] for asset in (await listed(api)).values()) == sorted(kept)


async def test_a_log_locked_by_another_program_is_opened_when_it_is_unlocked(
    api: Api, data_dir: Path
) -> None:
    before = children()
    with write_locked(data_dir / "ledger.db"):
        kill(before)
        await until(lambda: not api.backend.committer.is_alive)
        await until(lambda: api.backend.committer.failure is not None)
    await until(lambda: is_restarted(api, before))

    await api.created(b"after", name="after")

    await check_recorded_once(api, data_dir, ["after"])


async def test_a_kill_during_a_switch_leaves_the_old_or_the_new_generation(
    api: Api, data_dir: Path
) -> None:
    names = [asset["name"] for asset in await upload_together(api, "before")]
    for round_ in range(3):
        building = api.backend.rebuilds.start()
        await until(
            lambda building=building: (
                building.state == "switching" or api.backend.rebuilds.building is not building
            )
        )
        kill(children())
        ended = await api.backend.rebuilds.wait()
        assert ended is not None
        assert ended.result in ("switched", "failed")
        names += [asset["name"] for asset in await upload_together(api, f"after {round_}")]

    await check_recorded_once(api, data_dir, names)
    await api.settled()
