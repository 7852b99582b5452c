"""The tables are made anew while the server goes on, compared, switched, and taken back."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.contract.projections import DiffOut, ProjectionsOut
from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.rebuilds import Ended
from asset_ledger.ledger.storage.folder_lock import hold_build
from asset_ledger.projections.runtime.database import numbers
from tests.api.running import Answer, Api, serving
from tests.journeys.unreadable import append_unreadable_event


@pytest.fixture
def waiting(api: Api, data_dir: Path) -> Iterator[Api]:
    """A server whose rebuilds come no further than to their process, which waits for its turn."""
    with hold_build(data_dir):
        yield api


def builders() -> list[int]:
    """The processes of this one's that build."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if b"rebuild_worker" in cmdline(pid)]


def cmdline(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def a_builder() -> int:
    """The process that builds, once there is one."""
    async with asyncio.timeout(60):
        while not builders():
            await asyncio.to_thread(os.sched_yield)
    return builders()[0]


async def rebuilt(api: Api, **sent: Any) -> Ended:
    """What became of a rebuild that was asked for just now."""
    answer = await api.call("POST", "/api/projections/rebuild", json=sent)
    assert (answer.status, answer.json["building"] is not None) == (202, True)
    return await ended(api)


async def ended(api: Api) -> Ended:
    it = await api.backend.rebuilds.wait()
    assert it is not None
    return it


async def projections(api: Api) -> Any:
    """The document, which has its shape."""
    answer = await api.get("/api/projections")
    ProjectionsOut.model_validate(answer.json)
    return answer.json


async def write(api: Api, sql: str) -> None:
    """Change the tables in use, beside the committer."""
    number = api.backend.projections.generation.number

    def execute() -> None:
        path = api.backend.settings.data_dir / f"projections.g{number}.db"
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(sql)

    await asyncio.to_thread(execute)


async def spoil(api: Api) -> None:
    """Give the tables in use a row that the events did not make."""
    await write(api, "UPDATE assets SET size = 1, json = '{}'")


async def test_the_tables_in_use_say_what_they_are(api: Api) -> None:
    await api.created(job_id="j")

    told = await projections(api)

    serving = told["serving"]
    assert (serving["generation"], serving["position"], serving["lag"]) == (1, 2, 0)
    assert (serving["state"], serving["error"], serving["digest"]) == ("live", None, None)
    assert serving["rows"].items() >= {"assets": 1, "jobs": 1, "edges": 0}.items()
    assert serving["revision"].startswith("2026")
    assert (told["building"], told["previous"], told["last"]) == (None, None, None)
    assert (await api.get("/api/projections/diff")).json == {"compared": None}


async def test_rows_are_counted_again_only_once_the_tables_have_moved(api: Api) -> None:
    await api.created(job_id="j")
    await api.settled()
    counted = (await projections(api))["serving"]["rows"]
    await write(api, "DELETE FROM assets")  # by no event

    assert (await projections(api))["serving"]["rows"] == counted
    await api.created(job_id="j")
    await api.settled()
    counted = (await projections(api))["serving"]["rows"]
    assert (counted["assets"], counted["usage"]) == (1, 5)


async def test_a_rebuild_puts_the_next_generation_in_use_and_says_what_it_found(api: Api) -> None:
    await api.created(job_id="j")

    it = await rebuilt(api)

    assert (it.result, it.error) == ("switched", None)
    told = await projections(api)
    assert told["serving"]["generation"] == 2
    assert told["serving"]["digest"] == {"value": told["last"]["digest"], "position": 2}
    assert (told["last"]["differences"], told["building"]) == (0, None)
    previous = told["previous"]
    assert (previous["generation"], previous["position"], previous["usable"]) == (1, 2, True)
    assert (await api.created(job_id="j"))["position"] == 3
    assert len((await api.get("/api/assets")).json["assets"]) == 2


async def test_a_second_request_is_told_of_the_rebuild_that_runs(api: Api) -> None:
    first = await api.call("POST", "/api/projections/rebuild")
    second = await api.call("POST", "/api/projections/rebuild", json={"dry_run": True})

    assert first.json["building"]["generation"] == second.json["building"]["generation"] == 2
    assert second.json["building"]["dry_run"] is False
    assert (await ended(api)).result == "switched"


async def test_a_dry_run_says_what_would_change_and_changes_nothing(
    api: Api, data_dir: Path
) -> None:
    asset = await api.created(b"content")
    await spoil(api)

    it = await rebuilt(api, dry_run=True)

    assert it.result == "discarded"
    compared = (await api.get("/api/projections/diff")).json["compared"]
    DiffOut.model_validate({"compared": compared})
    (table,) = [each for each in compared["tables"] if each["table"] == "assets"]
    assert (compared["differences"], table["changed"]) == (1, 1)
    assert table["columns"] == {"json": 1, "size": 1}
    assert table["rows"][0]["columns"]["size"] == {"before": 1, "after": asset["size"]}
    assert numbers(data_dir) == [1]
    assert (await projections(api))["last"]["differences"] == 1
    assert (await api.get(f"/api/assets/{asset['id']}")).json == {}


async def test_a_rebuild_makes_spoilt_rows_good(api: Api) -> None:
    asset = await api.created(b"content")
    await spoil(api)

    await rebuilt(api)

    assert (await api.get(f"/api/assets/{asset['id']}")).json == asset


async def test_a_cursor_from_before_goes_on_after_the_switch(api: Api) -> None:
    made = [await api.created(name=f"{n}", job_id="j") for n in range(5)]
    first = (await api.get("/api/assets?job_id=j&page_size=2")).json

    await rebuilt(api)

    rest = (await api.get(f"/api/assets?job_id=j&page_size=3&cursor={first['next']}")).json
    assert first["assets"] + rest["assets"] == made


async def test_a_rollback_goes_back_and_keeps_what_came_since(api: Api, data_dir: Path) -> None:
    await api.created(name="before")
    await rebuilt(api)
    await api.created(name="since")

    answer = await api.call("POST", "/api/projections/rollback")

    assert (answer.status, answer.json["building"]["rollback"]) == (202, True)
    assert (await ended(api)).result == "switched"
    told = await projections(api)
    assert (told["serving"]["generation"], told["previous"]) == (1, None)
    names = [asset["name"] for asset in (await api.get("/api/assets")).json["assets"]]
    assert names == ["before", "since"]
    assert numbers(data_dir) == [1, 2]
    assert (await rebuilt(api)).building.generation == 3
    assert numbers(data_dir) == [1, 3]


async def test_after_a_restart_the_tables_are_those_that_were_gone_back_to(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created()
        await rebuilt(api)
        await api.call("POST", "/api/projections/rollback")
        await ended(api)

    async with serving(Settings(data_dir=data_dir)) as api:
        assert (await projections(api))["serving"]["generation"] == 1


async def test_there_has_to_be_something_to_go_back_to(api: Api) -> None:
    answer = await api.call("POST", "/api/projections/rollback")

    assert (answer.status, answer.slug) == (409, "no-generation")


async def test_tables_of_another_schema_are_not_gone_back_to(api: Api) -> None:
    await write(api, "INSERT INTO schema_migrations VALUES ('20200101_000000_taken_back', '')")
    await rebuilt(api)

    answer = await api.call("POST", "/api/projections/rollback")

    assert (answer.status, answer.slug) == (409, "no-generation")
    assert (await projections(api))["previous"]["usable"] is False


async def test_a_rebuild_can_be_cancelled_and_leaves_nothing(waiting: Api, data_dir: Path) -> None:
    await waiting.call("POST", "/api/projections/rebuild")
    await a_builder()
    refused = await waiting.call("POST", "/api/projections/rollback")

    answer = await waiting.call("POST", "/api/projections/cancel")

    assert answer.status == 200
    assert (answer.json["building"], answer.json["last"]["result"]) == (None, "cancelled")
    assert refused.slug == "no-generation"
    assert builders() == []
    assert [*data_dir.glob("projections.g2*")] == []
    assert (await waiting.call("POST", "/api/projections/cancel")).status == 200


async def test_a_server_that_stops_takes_its_rebuild_along(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        with hold_build(data_dir):
            await api.call("POST", "/api/projections/rebuild")
            await a_builder()
            await api.backend.rebuilds.close()
            assert builders() == []


async def test_a_rebuild_whose_process_dies_leaves_the_tables_in_use(waiting: Api) -> None:
    await waiting.call("POST", "/api/projections/rebuild")
    os.kill(await a_builder(), signal.SIGKILL)

    it = await ended(waiting)

    assert (it.result, it.error) == ("failed", "the process that built it died")
    assert (await projections(waiting))["serving"]["generation"] == 1


async def test_a_rebuild_that_cannot_read_an_event_says_which(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created()
    poison = append_unreadable_event(data_dir)
    async with serving(Settings(data_dir=data_dir)) as api:
        it = await rebuilt(api)

        assert it.result == "failed"
        assert f"position {poison} cannot be read" in str(it.error)
        told = await projections(api)
        assert (told["serving"]["generation"], told["serving"]["state"]) == (1, "stalled")
        assert (told["last"]["result"], told["last"]["digest"]) == ("failed", None)
        assert numbers(data_dir) == [1]


async def test_what_is_no_request_for_a_rebuild_begins_none(api: Api) -> None:
    wrong = await api.call("POST", "/api/projections/rebuild", json={"dry": True})
    typed = await api.call("POST", "/api/projections/rebuild", json={"dry_run": "yes"})

    assert (wrong.slug, typed.slug) == ("bad-field", "bad-field")
    assert api.backend.rebuilds.building is None


async def test_the_numbers_tell_of_rebuilds(api: Api) -> None:
    def numbered(answer: Answer) -> dict[str, float]:
        lines = [line.split() for line in answer.body.decode().splitlines() if line[0] != "#"]
        return {name.removeprefix("asset_ledger_"): float(value) for name, value in lines}

    await rebuilt(api)
    counted = numbered(await api.get("/metrics"))

    assert counted["generation"] == 2
    assert counted['rebuilds_total{result="switched"}'] == 1
    assert counted['rebuilds_total{result="failed"}'] == 0
    assert counted["rebuilding"] == 0
