"""A machine whose clock was ahead: times stay in order, and events hold the clock's own time."""

import asyncio
import json
import logging
import shutil
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from asset_ledger import ProcessingContext, connect
from asset_ledger.api.engine import open_group_commit
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commit.thread import ThreadWorker
from tests.api.running import Api, serving
from tests.journeys.server import run
from tests.journeys.server import serving as serving_process

TEN_YEARS = timedelta(days=3650)


@asynccontextmanager
async def machine(data_dir: Path, ahead: timedelta = timedelta()) -> AsyncIterator[Api]:
    """A server whose committer reads a clock that is ahead of ours."""
    files = partial(open_group_commit, data_dir, clock=lambda: datetime.now(UTC) + ahead)
    async with serving(Settings(data_dir=data_dir), worker=ThreadWorker(files)) as api:
        yield api


@pytest.fixture
async def jumped(data_dir: Path) -> Path:
    """A folder whose first asset was recorded ten years ahead."""
    async with machine(data_dir, TEN_YEARS) as api:
        await api.created(name="ahead", job_id="j")
    return data_dir


async def clock_part(api: Api) -> dict[str, object]:
    answer = await api.get("/readyz")
    assert answer.status == 200
    (part,) = [each for each in answer.json["parts"] if each["name"] == "clock"]
    return dict(part)


async def behind(api: Api) -> float:
    lines = (await api.get("/metrics")).body.decode().splitlines()
    (line,) = [each for each in lines if each.startswith("asset_ledger_clock_behind_seconds ")]
    return float(line.split()[1])


def seconds_ago(time: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()


async def test_every_event_holds_the_clock_after_a_jump_while_the_clock_is_behind(
    jumped: Path,
) -> None:
    async with machine(jumped) as api:
        asset = await api.created(name="now", job_id="j")
        await api.call("PUT", f"/api/assets/{asset['id']}", json={"name": "then"})
        await api.call("POST", "/api/jobs/j/finish", json={"status": "completed"})
        rotated = await api.call("POST", "/api/log/key/rotate")
        events = (await api.get("/api/events?all=true")).json["events"]

    assert rotated.status == 200
    assert [event["clock"] for event in events[:2]] == [None, None]
    assert {event["topic"] for event in events[2:]} == {
        *("asset.created", "asset.described", "job.finished", "key.rotated")
    }
    assert {event["time"] for event in events[2:]} == {events[1]["time"]}
    assert all(0 <= seconds_ago(event["clock"]) < 600 for event in events[2:])


@pytest.mark.parametrize(
    ("seconds", "holds_clock"), [(-5, False), (0, False), (55, False), (300, True)]
)
async def test_an_event_holds_the_clock_only_if_it_is_over_a_minute_behind(
    data_dir: Path, seconds: int, holds_clock: bool
) -> None:
    async with machine(data_dir, timedelta(seconds=seconds)) as api:
        await api.created()
    async with machine(data_dir) as api:
        asset = await api.created()
        history = (await api.get(f"/api/assets/{asset['id']}/history")).json["events"]

    assert bool(history[0]["clock"]) is holds_clock


async def test_log_metric_and_readiness_report_a_clock_that_is_behind(
    jumped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "asset_ledger.ledger.clock")
    async with machine(jumped) as api:
        await api.created()
        part = await clock_part(api)
        lag = await behind(api)
        await api.created()

    assert (part["ok"], part["optional"]) == (False, True)
    assert "this machine's clock is 36" in str(part["reason"])
    assert abs(lag - TEN_YEARS.total_seconds()) < 600
    assert [record.message.split(",")[0] for record in caplog.records] == [
        str(part["reason"]).split(",")[0]
    ]


async def test_log_metric_and_readiness_are_silent_while_the_clock_is_right(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "asset_ledger.ledger.clock")
    async with machine(data_dir) as api:
        await api.created()

        assert await clock_part(api) == {
            "name": "clock",
            "ok": True,
            "reason": None,
            "optional": True,
        }
        assert await behind(api) == 0
    assert caplog.records == []


async def test_readiness_reports_a_jump_back_without_a_write(data_dir: Path) -> None:
    async with machine(data_dir, TEN_YEARS) as api:  # its committer alone is ahead
        await api.created()

        assert (await clock_part(api))["ok"] is False


async def test_a_time_of_as_of_counts_in_log_order_after_a_jump(jumped: Path) -> None:
    async with machine(jumped) as api:
        await api.created(name="now", job_id="j")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        before = await api.get(f"/api/jobs/j/assets?as_of={now}")
        after = await api.get("/api/jobs/j/assets?as_of=3")

    assert before.slug == "unknown-job"
    assert [asset["name"] for asset in after.json["assets"]] == ["ahead", "now"]


async def test_the_sdk_reads_the_clock_of_an_event(jumped: Path) -> None:
    async with connect(data_dir=jumped):
        context = ProcessingContext(job_id="j")
        await context.create_asset("now", content=b"x")
        first, second = [event async for event in context.history()]

    assert first.clock is None
    assert second.clock is not None
    assert second.time == first.time > second.clock + timedelta(days=3649)


@pytest.mark.slow
def test_server_commands_bundle_export_and_import_keep_the_clock(tmp_path: Path) -> None:
    data, export, copied = (tmp_path / name for name in ("data", "export", "copied"))
    asyncio.run(_ahead(data))
    with serving_process(data) as server:  # a committer process reads the machine's clock
        made = run("tail", "--url", server.url, "--after", "0", "--count", "1")
        asyncio.run(_finish(server.url))
        tailed = run("tail", "--url", server.url, "--after", "2", "--count", "1")
        logged = server.errors
    replayed = run("replay", "j", "--data-dir", data, "--json").stdout
    bundled = run("audit-bundle", "j", "-o", tmp_path / "b.zip", "--data-dir", data)
    checked = verified_bundle(tmp_path / "b.zip")
    exported = run("export", "ledger", export, "--data-dir", data)
    imported = run("import", "ledger", export, "--data-dir", copied)
    shutil.copy(data / "checkpoint.key", copied)
    verified = run("verify", "--data-dir", copied)

    clock = json.loads(replayed.splitlines()[1])["clock"]
    assert "clock=" not in made.stdout
    assert f"clock={clock}" in tailed.stdout
    assert f"clock={clock}" in run("replay", "j", "--data-dir", data).stdout.replace("\n", "")
    assert logged.count("this machine's clock is ") == 1
    assert 0 <= seconds_ago(clock) < 600
    assert f"1 events have a later time than the clock showed, first event 3 at {clock}" in checked
    assert [each.returncode for each in (bundled, exported, imported, verified)] == [0, 0, 0, 0]
    assert run("replay", "j", "--data-dir", copied, "--json").stdout == replayed


def verified_bundle(bundle: Path) -> str:
    """Return what the verifier in a bundle prints about it."""
    with zipfile.ZipFile(bundle) as packed:
        packed.extract("verify.py", bundle.parent)
    command = [sys.executable, "-I", str(bundle.parent / "verify.py"), str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


async def _ahead(data_dir: Path) -> None:
    async with machine(data_dir, TEN_YEARS) as api:
        await api.created(name="ahead", job_id="j")


async def _finish(url: str) -> None:
    async with connect(url) as gateway:
        await gateway.finish_job("j", {"status": "completed"})
