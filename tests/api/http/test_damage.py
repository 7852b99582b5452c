"""Damaged files under a running server: each reader gets an error, until the damage is repaired."""

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest

from asset_ledger.api.settings import Settings
from tests.api.damage import (
    Damage,
    content_file,
    damage_table,
    flip,
    lengthen,
    shorten,
)
from tests.api.running import Answer, Api, serving
from tests.journeys.server import run

pytestmark = pytest.mark.in_a_folder("it damages files")

LARGE: Final = os.urandom(300_000)
SMALL: Final = b"small content"
LARGE_DAMAGE: Final = [
    shorten(100_000),
    shorten(0),
    Path.unlink,
    lengthen,
    flip(1_000),
    flip(-1),
]
SMALL_DAMAGE: Final[list[Damage]] = [shorten(0), shorten(45), flip(41), flip(52)]
CASES: Final = [
    *((LARGE, damage) for damage in LARGE_DAMAGE),
    *((SMALL, damage) for damage in SMALL_DAMAGE),
]


async def damaged_part(api: Api) -> Any:
    parts = (await api.get("/readyz")).json["parts"]
    return next(part for part in parts if part["name"] == "contents")


async def unready(api: Api) -> list[str]:
    """Return the reasons why the server is not ready."""
    answer = await api.get("/readyz")
    parts = [part for part in answer.json["parts"] if not part["ok"] and not part.get("optional")]
    assert (answer.status == 503) == bool(parts)
    return [part["reason"] for part in parts]


async def read(api: Api, path: str) -> str:
    """Return the slug of the refusal, or `broken` for a transfer that broke off."""
    try:
        answer = await api.get(path)
    except aiohttp.ClientPayloadError:
        return "broken"
    return answer.slug


@pytest.mark.parametrize(("content", "damage"), CASES)
async def test_a_damaged_content_is_refused_until_the_same_bytes_repair_it(
    api: Api, data_dir: Path, content: bytes, damage: Damage
) -> None:
    asset = await api.created(content)
    damage(content_file(data_dir, content is LARGE))

    assert await read(api, asset["get_url"]) in ("content-damaged", "broken")
    part = await damaged_part(api)
    assert (part["ok"], part["damaged"]) == (False, 1)
    assert b"asset_ledger_damaged_contents 1.0" in (await api.get("/metrics")).body

    await api.created(content)
    assert (await api.get(asset["get_url"])).body == content
    assert (await damaged_part(api))["damaged"] == 0


@pytest.mark.parametrize("damage", [flip(10), flip(2_500_000), shorten(2_000_000)])
async def test_no_reader_gets_a_whole_answer_of_a_content_of_many_pieces(
    api: Api, data_dir: Path, damage: Damage
) -> None:
    asset = await api.created(os.urandom(5_000_000))
    damage(content_file(data_dir, True))

    for _ in range(2):
        assert await read(api, asset["get_url"]) in ("content-damaged", "broken")


@pytest.mark.parametrize("damage", LARGE_DAMAGE)
async def test_a_zip_with_a_damaged_content_is_refused_or_breaks(
    api: Api, data_dir: Path, damage: Damage
) -> None:
    assets = [await api.created(LARGE), await api.created(SMALL)]
    damage(content_file(data_dir, True))

    body = {"asset_ids": [asset["id"] for asset in assets]}
    try:
        answer = await api.call("POST", "/api/assets/download", json=body)
    except aiohttp.ClientPayloadError:
        return
    assert answer.slug == "content-damaged"


READS: Final = [
    ("projections.g1.db", "edges", "/api/lineage?digest=sha256:" + "0" * 64),
    ("projections.g1.db", "jobs", "/api/jobs"),
    ("projections.g1.usage.db", "usage", "/api/assets/usage?group_by=node_id"),
    ("projections.g1.search.db", "search_assets", "/api/assets/search?query=word"),
]


@pytest.fixture
async def recorded(data_dir: Path) -> Path:
    """A stopped ledger with several pages in each table."""
    async with serving(Settings(data_dir=data_dir)) as api:
        for n in range(60):
            metadata = {"prompt": f"word {n} " * 60}
            await api.created(
                b"%d" % n, name=f"{n}.png", node_id=f"n{n}", job_id=f"j{n}", metadata=metadata
            )
        await api.settled()
    return data_dir


@pytest.mark.parametrize(("file", "table", "path"), READS)
async def test_a_damaged_page_of_tables_is_a_named_problem_until_a_rebuild(
    recorded: Path, file: str, table: str, path: str
) -> None:
    async with serving(Settings(data_dir=recorded)) as api:
        assert (await api.get(path)).status == 200
        await asyncio.to_thread(damage_table, recorded / file, table)
    async with serving(Settings(data_dir=recorded)) as api:
        details = set()
        for _ in range(3):
            answer = await api.get(path)
            assert (answer.status, answer.slug) == (503, "tables-damaged"), answer.body
            assert file in answer.json["detail"]
            details.add(answer.json["detail"])
        assert await unready(api) == list(details)
        assert b"asset_ledger_damaged_files 1.0" in (await api.get("/metrics")).body

    done = await asyncio.to_thread(run, "rebuild", "--json", "--data-dir", recorded)

    assert done.returncode == 1
    (reason,) = orjson.loads(done.stdout)["incomparable"]
    assert reason.startswith(f"{file}: its rows could not be read")
    assert f"not compared: {file}" in done.stderr
    async with serving(Settings(data_dir=recorded)) as api:
        assert (await api.get(path)).status == 200
        assert await unready(api) == []


@pytest.mark.slow
def test_a_start_with_damaged_tables_says_what_to_do(recorded: Path) -> None:
    damage_table(recorded / "projections.g1.db", "assets")

    done = run("serve", "--port", "0", "--data-dir", recorded)

    assert done.returncode == 2
    *_, line = done.stderr.splitlines()
    assert "projections.g1.db is damaged" in line
    assert "asset-ledger rebuild" in line
    assert run("rebuild", "--data-dir", recorded).returncode == 1
    assert run("rebuild", "--data-dir", recorded).returncode == 0


@pytest.mark.parametrize("path", ["/api/jobs/j1/history", "/api/events", "/api/log/key"])
async def test_a_damaged_log_is_a_named_problem(recorded: Path, path: str) -> None:
    def damage(table: str) -> None:
        damage_table(recorded / "ledger.db", table)

    answers: list[Answer] = []
    async with serving(Settings(data_dir=recorded)) as api:
        with closing(sqlite3.connect(recorded / "ledger.db")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await asyncio.to_thread(damage, "stored_events")
        answers = [await api.get(path) for _ in range(2)]
        reasons = await unready(api)
        assert b"asset_ledger_damaged_files 1.0" in (await api.get("/metrics")).body

    assert reasons == [answers[0].json["detail"]]
    assert [(answer.status, answer.slug) for answer in answers] == [(503, "storage-failed")] * 2
    assert "the log is damaged" in answers[0].json["detail"]


async def test_damaged_places_of_contents_are_damage_of_the_log(recorded: Path) -> None:
    async with serving(Settings(data_dir=recorded)) as api:
        (asset, *_) = (await api.get("/api/assets?job_id=j1")).json["assets"]
        with closing(sqlite3.connect(recorded / "ledger.db")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await asyncio.to_thread(damage_table, recorded / "ledger.db", "contents")
        answer = await api.get(asset["get_url"])
        reasons = await unready(api)

    assert (answer.status, answer.slug) == (503, "storage-failed")
    assert "the log is damaged" in answer.json["detail"]
    assert reasons == [answer.json["detail"]]
