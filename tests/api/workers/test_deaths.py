"""The process that writes dies, or never comes to life: nobody waits for ever, nothing is lost."""

import asyncio
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.workers import committer_process as turns
from asset_ledger.ledger.storage.folder_lock import hold_writing
from tests.api.http.test_events import stream, take
from tests.api.running import Api
from tests.api.workers.busy import (
    CALLERS,
    children,
    keep_busy,
    kill,
    until,
    upload_together,
    willing,
)
from tests.api.workers.test_apart import listed, verified
from tests.journeys.audit import audit, facts_in
from tests.journeys.holding import holding

UNKNOWN = (503, "outcome-unknown")


@pytest.fixture
async def api(opened_before: Path) -> AsyncIterator[Api]:
    async with willing(opened_before) as api:
        yield api


async def upload_for_sure(api: Api, key: str, heard: Counter[int]) -> Any:
    """Ask, and again with the same key where nobody knows: the asset, whenever it was recorded."""
    while True:
        answer = await api.upload(key.encode(), name=key, headers={"Idempotency-Key": key})
        heard[answer.status] += 1
        if answer.status in (201, 202):
            return answer.json
        assert (answer.status, answer.slug) == UNKNOWN


async def check_recorded_once(api: Api, data_dir: Path, keys: list[str]) -> None:
    """In the table and in the log, which is whole."""
    await until(lambda: api.backend.views.position == api.head())
    assert sorted(asset["name"] for asset in (await listed(api)).values()) == sorted(keys)
    await api.backend.apart.close()
    named = [f.says["private"]["name"] for f in audit(data_dir) if f.topic == "asset.created"]
    assert sorted(named) == sorted(keys)


async def test_a_kill_under_load_costs_nobody_more_than_a_second_request(
    api: Api, data_dir: Path
) -> None:
    before = [asset["name"] for asset in await keep_busy(api)]
    heard: Counter[int] = Counter()

    async def uploader(name: int) -> list[str]:
        keys = [f"{name}.{n}" for n in range(20)]
        return [(await upload_for_sure(api, key, heard))["name"] for key in keys]

    uploads = [asyncio.create_task(uploader(n)) for n in range(CALLERS)]
    await until(lambda: heard[201] > 100)
    kill(children())
    async with asyncio.timeout(60):
        names = [name for upload in uploads for name in await upload]

    assert not api.backend.apart.away
    assert children() == []
    assert (await api.get("/readyz")).status == 200
    await check_recorded_once(api, data_dir, before + names)
    verified(data_dir)


async def test_killed_between_fact_and_table_nobody_is_told_what_is_not_so(
    api: Api, data_dir: Path
) -> None:
    """The fact is recorded, and nobody knows it yet: who follows hears of it without another."""
    before = [asset["name"] for asset in await keep_busy(api)]
    key = {"Idempotency-Key": "k"}
    async with stream(api, "?all=true") as blocks:
        last = api.head()
        with holding(data_dir / "projections.g1.db"):
            upload = asyncio.create_task(api.upload(b"k", name="k", headers=key))
            await until(lambda: len(facts_in(data_dir)) > last)
            kill(children())
            answer = await upload
            assert (answer.status, answer.slug) == UNKNOWN
            await until(lambda: not api.backend.apart.away)
            (told,) = await take(blocks, 1)
            again = await api.upload(b"k", name="k", headers=key)
            assert (again.status, again.headers["Ledger-View"]) == (202, "behind")

    assert (int(told.id), told.data["asset_id"]) == (last + 1, again.json["id"])
    await check_recorded_once(api, data_dir, [*before, "k"])


async def test_killed_when_it_is_idle_it_leaves_the_next_write_to_the_server(
    api: Api, data_dir: Path
) -> None:
    before = [asset["name"] for asset in await keep_busy(api)]

    kill(children())
    await until(lambda: not api.backend.apart.away)
    await api.created(b"after", name="after")

    await check_recorded_once(api, data_dir, [*before, "after"])


async def test_killed_while_it_is_called_home_it_is_not_missed(api: Api, data_dir: Path) -> None:
    before = [asset["name"] for asset in await keep_busy(api)]
    heard: Counter[int] = Counter()
    pids = children()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    uploads = [asyncio.create_task(upload_for_sure(api, f"{n}", heard)) for n in range(CALLERS)]
    await until(lambda: api.backend.writer.waiting == CALLERS)
    closing = asyncio.create_task(api.backend.apart.close())
    await asyncio.sleep(0)
    kill(pids)
    names = [asset["name"] for asset in await asyncio.gather(*uploads)]
    await closing

    assert children() == []
    await check_recorded_once(api, data_dir, before + names)


async def test_killed_before_it_takes_over_it_is_not_missed(api: Api, data_dir: Path) -> None:
    names: list[str] = []
    with hold_writing(data_dir):
        while not children():
            names += [asset["name"] for asset in await upload_together(api, len(names))]
        names += [asset["name"] for asset in await upload_together(api, "waits")]
        kill(children())
    names += [asset["name"] for asset in await upload_together(api, "after")]

    await until(lambda: not children())
    assert not api.backend.apart.away
    await check_recorded_once(api, data_dir, names)


@pytest.mark.parametrize("answers", [20, 80, 160])
async def test_killed_at_any_instant_of_its_taking_over_it_is_not_missed(
    api: Api, data_dir: Path, answers: int
) -> None:
    """As soon as it is there, and so many answers after that."""
    heard: Counter[int] = Counter()

    async def uploader(name: int) -> list[str]:
        keys = [f"{name}.{n}" for n in range(20)]
        return [(await upload_for_sure(api, key, heard))["name"] for key in keys]

    uploads = [asyncio.create_task(uploader(n)) for n in range(CALLERS)]
    await until(children)
    there = heard.total()
    await until(lambda: heard.total() >= there + answers)
    kill(children())
    async with asyncio.timeout(60):
        names = [name for upload in uploads for name in await upload]

    await check_recorded_once(api, data_dir, names)


@pytest.mark.parametrize("cannot", ["be found", "be loaded", "stay"])
async def test_a_process_that_cannot_begin_leaves_the_writes_where_they_are(
    api: Api,
    data_dir: Path,
    cannot: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    match cannot:
        case "be found":
            monkeypatch.setattr(sys, "executable", str(data_dir / "nothing"))
        case "be loaded":
            monkeypatch.setattr(turns, "WORKER", "asset_ledger.api.workers.nothing")
        case _:
            monkeypatch.setattr(turns, "WORKER", "this")  # it says something, and exits with 0

    names: list[str] = []
    async with asyncio.timeout(60):
        while "no process of its own writes" not in caplog.text:
            names += [asset["name"] for asset in await upload_together(api, len(names))]
    names += [asset["name"] for asset in await upload_together(api, "after")]

    assert not api.backend.apart.away
    assert children() == []
    await check_recorded_once(api, data_dir, names)


async def test_a_disk_that_failed_the_process_is_not_written_to_from_the_server(
    api: Api, data_dir: Path
) -> None:
    """What one fsync lost, the next one would report as kept."""
    kept = [asset["name"] for asset in await keep_busy(api)]
    (pid,) = children()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))  # every write beyond is an I/O error
    while (answer := await api.upload(b"x", name="x")).status == 201:
        kept.append("x")
    assert (answer.status, answer.slug) == (503, "storage-failed")

    async with api.backend.apart.home():
        at_home = await api.upload(b"y", name="y")
    refused = await asyncio.gather(*(api.upload(b"z", name="z") for _ in range(CALLERS)))

    assert {each.slug for each in (at_home, *refused)} == {"storage-failed"}
    assert (await api.get("/readyz")).status == 503
    assert children() == []
    assert sorted(asset["name"] for asset in (await listed(api)).values()) == sorted(kept)


async def test_somebody_who_holds_the_log_for_a_while_makes_nobody_read_only(
    api: Api, data_dir: Path
) -> None:
    """He keeps the process from opening it, and the server from writing: until he lets go."""
    names = [asset["name"] for asset in await keep_busy(api)]
    with holding(data_dir / "ledger.db"):
        kill(children())
        await until(lambda: not api.backend.apart.away)

    await api.created(b"after", name="after")

    await check_recorded_once(api, data_dir, [*names, "after"])


async def test_a_process_that_cannot_open_the_files_leaves_the_writes_where_they_are(
    api: Api, data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = api.backend.settings.model_copy(update={"data_dir": data_dir.with_name("other")})
    data_dir.with_name("other").mkdir()
    monkeypatch.setattr(api.backend.apart, "_settings", other)

    names: list[str] = []
    async with asyncio.timeout(60):
        while "no process of its own writes" not in caplog.text:
            names += [asset["name"] for asset in await upload_together(api, len(names))]

    await check_recorded_once(api, data_dir, names)
