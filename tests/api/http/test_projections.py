"""Rebuilds through HTTP: the server goes on while a new generation is built, compared, switched to,
and rolled back."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.contract.projections import DiffOut, ProjectionsOut
from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.rebuilds import FinishedRebuild
from asset_ledger.ledger.storage.folder_lock import hold_build_lock
from asset_ledger.projections.runtime.registry import PROJECTIONS
from tests.api.running import Answer, Api, serving
from tests.journeys.unreadable import append_unreadable_event


@pytest.fixture
def waiting(api: Api, data_dir: Path) -> Iterator[Api]:
    """A server whose rebuild workers wait, because the test holds the build lock."""
    with hold_build_lock(data_dir):
        yield api


def builders() -> list[int]:
    """Return the ids of the rebuild workers among the children of this process."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if b"rebuild_worker" in cmdline(pid)]


def cmdline(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def first_builder() -> int:
    """Wait until a rebuild worker runs and return its process id."""
    async with asyncio.timeout(60):
        while not builders():
            await asyncio.to_thread(os.sched_yield)
    return builders()[0]


async def rebuilt(api: Api, **sent: Any) -> FinishedRebuild:
    """Start a rebuild and return how it ended."""
    answer = await api.call("POST", "/api/projections/rebuild", json=sent)
    assert (answer.status, answer.json["building"] is not None) == (202, True)
    return await ended(api)


async def ended(api: Api) -> FinishedRebuild:
    result = await api.backend.rebuilds.wait()
    assert result is not None
    return result


async def projections(api: Api) -> Any:
    """Return the document after validating it against its shape."""
    answer = await api.get("/api/projections")
    ProjectionsOut.model_validate(answer.json)
    return answer.json


async def write(api: Api, sql: str) -> None:
    """Change the tables in use without an event."""
    number = api.backend.projections.generation.number

    def execute() -> None:
        if api.backend.engine.database is not None:
            tables = stack.enter_context(closing(api.backend.engine.tables()))
            database = stack.enter_context(closing(tables.open(number, PROJECTIONS)))
            with database.transaction() as db:
                db.execute(sql)
            return
        path = api.backend.settings.data_dir / f"projections.g{number}.db"
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(sql)

    with ExitStack() as stack:
        await asyncio.to_thread(execute)


def generations(api: Api) -> list[int]:
    """Return the generations that are stored."""
    with closing(api.backend.engine.tables()) as tables:
        return list(tables.numbers())


async def corrupt(api: Api) -> None:
    """Give a row of the tables in use values that no event made. It stays known by its id."""
    cut = "substr(json, 1, instr(json, ',\"user_id\"') - 1) || '}'"
    await write(api, f"UPDATE assets SET size = 1, json = {cut}")


async def test_the_document_describes_the_tables_in_use(api: Api) -> None:
    await api.created(job_id="j")

    document = await projections(api)

    serving = document["serving"]
    assert (serving["generation"], serving["position"], serving["lag"]) == (1, 2, 0)
    assert (serving["state"], serving["error"], serving["digest"]) == ("live", None, None)
    assert serving["rows"].items() >= {"assets": 1, "jobs": 1, "edges": 0}.items()
    assert serving["revision"].startswith("2026")
    assert (document["building"], document["previous"], document["last"]) == (None, None, None)
    assert (await api.get("/api/projections/diff")).json == {"compared": None}


async def test_rows_are_recounted_only_after_the_tables_advance(api: Api) -> None:
    await api.created(job_id="j")
    await api.settled()
    counted = (await projections(api))["serving"]["rows"]
    await write(api, "DELETE FROM assets")

    assert (await projections(api))["serving"]["rows"] == counted
    await api.created(job_id="j")
    await api.settled()
    counted = (await projections(api))["serving"]["rows"]
    assert (counted["assets"], counted["usage"]) == (1, 6)


async def test_a_rebuild_switches_to_the_next_generation_and_reports_differences(api: Api) -> None:
    await api.created(job_id="j")

    ended = await rebuilt(api)

    assert (ended.result, ended.error) == ("switched", None)
    document = await projections(api)
    assert document["serving"]["generation"] == 2
    assert document["serving"]["digest"] == {"value": document["last"]["digest"], "position": 2}
    assert (document["last"]["differences"], document["building"]) == (0, None)
    previous = document["previous"]
    assert (previous["generation"], previous["position"], previous["usable"]) == (1, 2, True)
    assert (await api.created(job_id="j"))["position"] == 3
    assert len((await api.get("/api/assets")).json["assets"]) == 2


async def test_a_second_rebuild_request_returns_the_running_rebuild(api: Api) -> None:
    first = await api.call("POST", "/api/projections/rebuild")
    second = await api.call("POST", "/api/projections/rebuild", json={"dry_run": True})

    assert first.json["building"]["generation"] == second.json["building"]["generation"] == 2
    assert second.json["building"]["dry_run"] is False
    assert (await ended(api)).result == "switched"


async def test_a_dry_run_reports_differences_and_changes_nothing(api: Api, data_dir: Path) -> None:
    asset = await api.created(b"content")
    await corrupt(api)

    ended = await rebuilt(api, dry_run=True)

    assert ended.result == "discarded"
    compared = (await api.get("/api/projections/diff")).json["compared"]
    DiffOut.model_validate({"compared": compared})
    (table,) = [each for each in compared["tables"] if each["table"] == "assets"]
    assert (compared["differences"], table["changed"]) == (1, 1)
    assert table["columns"] == {"json": 1, "size": 1}
    assert table["rows"][0]["columns"]["size"] == {"before": 1, "after": asset["size"]}
    assert generations(api) == [1]
    assert (await projections(api))["last"]["differences"] == 1
    kept = {name: asset[name] for name in ("id", "created_at", "updated_at", "digest")}
    assert (await api.get(f"/api/assets/{asset['id']}")).json == kept


async def test_a_rebuild_repairs_corrupted_rows(api: Api) -> None:
    asset = await api.created(b"content")
    await corrupt(api)

    await rebuilt(api)

    assert (await api.get(f"/api/assets/{asset['id']}")).json == asset


async def test_a_cursor_stays_valid_after_a_switch(api: Api) -> None:
    made = [await api.created(name=f"{n}", job_id="j") for n in range(5)]
    first = (await api.get("/api/assets?job_id=j&page_size=2")).json

    await rebuilt(api)

    rest = (await api.get(f"/api/assets?job_id=j&page_size=3&cursor={first['next']}")).json
    assert first["assets"] + rest["assets"] == made


async def test_a_rollback_switches_back_and_keeps_later_events(api: Api, data_dir: Path) -> None:
    await api.created(name="before")
    await rebuilt(api)
    await api.created(name="since")

    answer = await api.call("POST", "/api/projections/rollback")

    assert (answer.status, answer.json["building"]["rollback"]) == (202, True)
    assert (await ended(api)).result == "switched"
    document = await projections(api)
    assert (document["serving"]["generation"], document["previous"]) == (1, None)
    names = [asset["name"] for asset in (await api.get("/api/assets")).json["assets"]]
    assert names == ["before", "since"]
    assert generations(api) == [1, 2]
    assert (await rebuilt(api)).building.generation == 3
    assert generations(api) == [1, 3]


async def test_a_rollback_survives_a_restart(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created()
        await rebuilt(api)
        await api.call("POST", "/api/projections/rollback")
        await ended(api)

    async with serving(Settings(data_dir=data_dir)) as api:
        assert (await projections(api))["serving"]["generation"] == 1


async def test_a_rollback_without_a_previous_generation_is_refused(api: Api) -> None:
    answer = await api.call("POST", "/api/projections/rollback")

    assert (answer.status, answer.slug) == (409, "no-generation")


@pytest.mark.in_a_folder("with a database, a rebuild is left to a server of the later release")
async def test_a_rollback_to_tables_of_another_schema_is_refused(api: Api) -> None:
    await write(api, "INSERT INTO schema_migrations VALUES ('20200101_000000_taken_back', '')")
    await rebuilt(api)

    answer = await api.call("POST", "/api/projections/rollback")

    assert (answer.status, answer.slug) == (409, "no-generation")
    assert (await projections(api))["previous"]["usable"] is False


async def test_a_cancelled_rebuild_leaves_nothing(waiting: Api, data_dir: Path) -> None:
    await waiting.call("POST", "/api/projections/rebuild")
    await first_builder()
    refused = await waiting.call("POST", "/api/projections/rollback")

    answer = await waiting.call("POST", "/api/projections/cancel")

    assert answer.status == 200
    assert (answer.json["building"], answer.json["last"]["result"]) == (None, "cancelled")
    assert refused.slug == "no-generation"
    assert builders() == []
    assert generations(waiting) == [1]
    assert (await waiting.call("POST", "/api/projections/cancel")).status == 200


async def test_a_server_stop_ends_the_rebuild_worker(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        with hold_build_lock(data_dir):
            await api.call("POST", "/api/projections/rebuild")
            await first_builder()
            await api.backend.rebuilds.cancel()
            assert builders() == []


async def test_a_killed_rebuild_worker_leaves_the_tables_in_use(waiting: Api) -> None:
    await waiting.call("POST", "/api/projections/rebuild")
    os.kill(await first_builder(), signal.SIGKILL)

    it = await ended(waiting)

    assert (it.result, it.error) == ("failed", "the rebuild process died; start the rebuild again")
    assert (await projections(waiting))["serving"]["generation"] == 1


@pytest.mark.in_a_folder("it writes to ledger.db")
async def test_a_rebuild_reports_the_position_of_an_unreadable_event(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created()
    poison = append_unreadable_event(data_dir)
    async with serving(Settings(data_dir=data_dir)) as api:
        it = await rebuilt(api)

        assert it.result == "failed"
        assert f"position {poison} cannot be read" in str(it.error)
        document = await projections(api)
        assert (document["serving"]["generation"], document["serving"]["state"]) == (1, "stalled")
        assert (document["last"]["result"], document["last"]["digest"]) == ("failed", None)
        assert generations(api) == [1]


async def test_an_invalid_rebuild_request_starts_no_rebuild(api: Api) -> None:
    wrong = await api.call("POST", "/api/projections/rebuild", json={"dry": True})
    typed = await api.call("POST", "/api/projections/rebuild", json={"dry_run": "yes"})

    assert (wrong.slug, typed.slug) == ("bad-field", "bad-field")
    assert api.backend.rebuilds.building is None


async def test_metrics_count_rebuilds(api: Api) -> None:
    def numbered(answer: Answer) -> dict[str, float]:
        lines = [line.split() for line in answer.body.decode().splitlines() if line[0] != "#"]
        return {name.removeprefix("asset_ledger_"): float(value) for name, value in lines}

    await rebuilt(api)
    counted = numbered(await api.get("/metrics"))

    assert counted["generation"] == 2
    assert counted['rebuilds_total{result="switched"}'] == 1
    assert counted['rebuilds_total{result="failed"}'] == 0
    assert counted["rebuilding"] == 0
