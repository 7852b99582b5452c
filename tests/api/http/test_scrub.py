"""A server reads its contents and its log again, shows what is damaged, and records it."""

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commands import scrub
from asset_ledger.ledger.domain.event import parse_time
from tests.api.damage import content_file, damage_table, flip
from tests.api.running import Api, serving
from tests.journeys.server import run

pytestmark = [pytest.mark.slow, pytest.mark.in_a_folder("PostgreSQL checks its pages itself")]

LARGE: Final = os.urandom(3_000_000)
SMALL: Final = b"small content"

either_size = pytest.mark.parametrize("content", [LARGE, SMALL], ids=["large", "small"])


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "IDLE", 0.02)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):  # fails a test that hangs
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def part(api: Api, name: str) -> Any:
    parts = (await api.get("/readyz")).json["parts"]
    return next(each for each in parts if each["name"] == name)


async def metric(api: Api, name: str) -> float:
    lines = (await api.get("/metrics")).body.decode().splitlines()
    (found,) = [line for line in lines if line.startswith(f"asset_ledger_{name} ")]
    return float(found.split()[1])


async def damage_events(api: Api) -> list[tuple[str, list[str]]]:
    found = (await api.get("/api/events?all=true")).json["events"]
    return [
        (each["topic"], each["data"]["parts"])
        for each in found
        if each["topic"].startswith("damage.")
    ]


@either_size
async def test_a_server_finds_damage_by_itself_until_the_same_bytes_repair_it(
    data_dir: Path, content: bytes
) -> None:
    async with serving(Settings(data_dir=data_dir, scrub_interval="1s")) as api:
        asset = await api.created(content, name="a")
        flip(45)(content_file(data_dir, content is LARGE))
        await until(lambda: api.backend.ledger.contents.damaged == 1)
        await until(lambda: api.head() == 3)
        assert (await part(api, "contents"))["damaged"] == 1

        await api.created(content, name="again")
        await until(lambda: api.head() == 5)

        assert await damage_events(api) == [
            ("damage.found", [asset["digest"]]),
            ("damage.repaired", [asset["digest"]]),
        ]
        assert (await part(api, "contents"))["ok"]
        assert (await api.get(asset["get_url"])).body == content
        assert await metric(api, "scrubbed_total") > 3
        assert await metric(api, "scrubbed_bytes_total") >= len(content)


@either_size
async def test_findings_survive_a_restart_and_are_recorded_once(
    data_dir: Path, content: bytes
) -> None:
    async with serving(Settings(data_dir=data_dir, scrub_interval="1s")) as api:
        await api.created(content)
        flip(45)(content_file(data_dir, content is LARGE))
        await until(lambda: api.head() == 3)
    for _ in range(2):
        async with serving(Settings(data_dir=data_dir)) as api:
            await until(lambda: api.backend.ledger.contents.damaged == 1)
            assert api.head() == 3
        (data_dir / "scrub.db").unlink()


async def test_an_asset_has_the_last_check_of_its_bytes(data_dir: Path) -> None:
    began = datetime.now(UTC)
    async with serving(Settings(data_dir=data_dir)) as api:
        asset = await api.created(SMALL)
        check = f"/api/assets/{asset['id']}/check"
        new = (await api.get(check)).json
        assert new == {"digest": asset["digest"], "size": 13, "checked_at": None, "damage": None}

        flip(45)(content_file(data_dir, False))
        assert (await asyncio.to_thread(run, "scrub", "--data-dir", data_dir)).returncode == 1
        await until(lambda: api.backend.ledger.contents.damaged == 1)
        found = (await api.get(check)).json
        assert parse_time(found["checked_at"]) >= began
        assert asset["digest"] in found["damage"]
        assert (await api.get(f"/api/assets/{'0' * 32}/check")).slug == "unknown-asset"


async def test_damage_that_a_reader_finds_is_recorded(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        asset = await api.created(SMALL)
        flip(45)(content_file(data_dir, False))
        assert (await api.get(asset["get_url"])).slug == "content-damaged"
        await until(lambda: api.head() == 3)

        assert await damage_events(api) == [("damage.found", [asset["digest"]])]


async def test_a_damaged_page_of_the_log_is_shown(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir, scrub_interval="1s")
    async with serving(settings) as api:
        await api.created(SMALL)
        assert (await part(api, "log"))["ok"]
    damage_table(data_dir / "ledger.db", "event_tags")
    async with serving(settings) as api:
        await until(lambda: bool(api.backend.scrub.damaged_log))
        shown = await part(api, "log")

        assert (shown["ok"], shown["damaged"], shown["optional"]) == (False, 1, True)
        assert "table event_tags" in shown["reason"]
        assert await metric(api, "damaged_log_parts") == 1
        assert (await api.get("/readyz")).status == 200
        await until(lambda: api.head() == 3)
        assert await damage_events(api) == [("damage.found", ["table event_tags"])]


async def test_the_oldest_check_is_shown_and_survives_a_restart(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir, scrub_interval="2s")
    began = datetime.now(UTC)
    async with serving(settings) as api:
        await api.created(SMALL)
        await until(lambda: api.backend.scrub.oldest_check is not None)
        first = await oldest_check(api)
        age = await metric(api, "scrub_oldest_check_seconds")
        assert began <= first <= datetime.now(UTC)
        assert timedelta(seconds=age) <= datetime.now(UTC) - first
        await until(lambda: (api.backend.scrub.oldest_check or 0) > first.timestamp() + 1)
        last = await oldest_check(api)
    async with serving(Settings(data_dir=data_dir)) as api:
        await until(lambda: api.backend.scrub.oldest_check is not None)
        assert await oldest_check(api) >= last


async def oldest_check(api: Api) -> datetime:
    shown = await part(api, "scrub")
    assert (shown["ok"], shown["optional"]) == (True, True)
    return parse_time(shown["oldest_check"])


async def test_an_error_of_the_scrub_is_shown_while_it_lasts(
    opened_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub, "RETRY", 0.02)
    notes = opened_data_dir / "scrub.db"
    notes.mkdir()
    async with serving(Settings(data_dir=opened_data_dir)) as api:
        await until(lambda: api.backend.scrub.is_failing)
        assert "see the server's log" in (await part(api, "scrub"))["reason"]
        notes.rmdir()
        await until(lambda: not api.backend.scrub.is_failing)
        assert (await part(api, "scrub"))["ok"]


async def test_nothing_is_read_while_the_server_is_busy(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir, scrub_interval="1s")) as api:
        await api.created(SMALL)
        await until(lambda: api.backend.scrub.checked > 0)
        with ExitStack() as writes:
            for _ in range(scrub.QUEUED):
                writes.enter_context(api.backend.ledger.slots.take("1"))
            await asyncio.sleep(0.6)  # a turn may have begun
            before = api.backend.scrub.checked
            await asyncio.sleep(1.5)
            assert api.backend.scrub.checked == before
        await until(lambda: api.backend.scrub.checked > before)


async def test_nothing_is_read_with_the_interval_off(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir, scrub_interval="off")) as api:
        await api.created(SMALL)
        await asyncio.sleep(0.2)

        assert api.backend.scrub.checked == 0
        assert "scrub" not in [each["name"] for each in (await api.get("/readyz")).json["parts"]]
        assert not (data_dir / "scrub.db").exists()


@either_size
async def test_the_bytes_of_a_damaged_content_can_be_stored_again(
    data_dir: Path, content: bytes
) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        asset = await api.created(content)
        flip(45)(content_file(data_dir, content is LARGE))

        path = f"/api/contents/{asset['digest']}"
        other = await api.call("PUT", path, data=b"other")
        done = await api.call("PUT", path, data=content)

        assert (other.status, other.slug) == (400, "digest-mismatch")
        assert done.json == {"digest": asset["digest"], "size": len(content)}
        assert (await api.get(asset["get_url"])).body == content
        head = api.head()
        assert head == 2


@pytest.mark.parametrize("name", ["x", "sha256:00", "sha512:" + "0" * 64])
async def test_a_content_without_a_digest_is_refused(data_dir: Path, name: str) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        answer = await api.call("PUT", f"/api/contents/{name}", data=SMALL)

        assert (answer.status, answer.slug) == (400, "bad-parameter")


async def test_a_folder_for_inspection_is_scrubbed_without_events(
    data_dir: Path, tmp_path: Path
) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created(LARGE)
        await api.created(SMALL)
    done = await asyncio.to_thread(run, "backup", "create", tmp_path / "b", "--data-dir", data_dir)
    assert done.returncode == 0
    folder = tmp_path / "earlier"
    upto = ("--upto", "2", "--data-dir", folder)
    done = await asyncio.to_thread(run, "backup", "restore", tmp_path / "b", *upto)
    assert done.returncode == 0, done.stderr
    content_file(folder, True).unlink()
    async with serving(Settings(data_dir=folder, scrub_interval="1s")) as api:
        await until(lambda: api.backend.ledger.contents.damaged == 1)
        checked = api.backend.scrub.checked
        await until(lambda: api.backend.scrub.checked > checked + 20)

        assert api.head() == 2
