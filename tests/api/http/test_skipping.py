"""Setting an event aside, over HTTP: what stands still goes on, and the log says why for ever."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asset_ledger.api.contract.skipping import SkipOut
from asset_ledger.api.settings import Settings
from tests.api.running import Answer, Api, serving
from tests.journeys.server import run
from tests.journeys.unreadable import append_unreadable_event

WHY = "written by a release that was taken back"
EVERYBODY = ["jobs", "assets", "lineage", "usage", "search", "catalog"]


@pytest.fixture
async def poison(data_dir: Path) -> int:
    """The position of an event that this release cannot read, after an asset."""
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created(name="before")
    return append_unreadable_event(data_dir)


@pytest.fixture
async def stalled(data_dir: Path, poison: int) -> AsyncIterator[Api]:
    """A server whose projections all stand still before that event."""
    async with serving(Settings(data_dir=data_dir)) as api:
        yield api


async def skip(api: Api, position: int, because: str = WHY, **headers: str) -> Answer:
    sent = {"position": position, "because": because}
    return await api.call("POST", "/api/projections/skip", json=sent, headers=headers)


async def names(api: Api) -> list[str]:
    return [asset["name"] for asset in (await api.get("/api/assets")).json["assets"]]


async def test_projections_that_stand_still_go_on_without_the_event(
    stalled: Api, poison: int
) -> None:
    behind = await stalled.upload(name="after")
    assert behind.status == 202
    assert await names(stalled) == ["before"]

    answer = await skip(stalled, poison)

    SkipOut.model_validate(answer.json)
    assert (answer.status, answer.json["projections"]) == (202, EVERYBODY)
    assert answer.headers["Ledger-Position"] == str(stalled.head())
    await stalled.settled()
    assert await names(stalled) == ["before", "after"]
    assert (await stalled.get("/readyz")).status == 200
    assert (await stalled.upload(name="later")).status == 201


async def test_the_log_says_who_set_what_aside_for_whom_and_why(stalled: Api, poison: int) -> None:
    await skip(stalled, poison)

    answer = await stalled.get(f"/api/events?after={poison}&all=true")

    events = answer.json["events"]
    assert [event["topic"] for event in events] == ["projection.skipped"] * len(EVERYBODY)
    assert [event["data"]["projection"] for event in events] == EVERYBODY
    assert {event["data"]["position"] for event in events} == {poison}
    assert {(event["by"], event["data"]["reason"]) for event in events} == {("1", WHY)}


async def test_asking_again_with_the_same_key_records_nothing(stalled: Api, poison: int) -> None:
    first = await skip(stalled, poison, **{"Idempotency-Key": "k"})
    again = await skip(stalled, poison, **{"Idempotency-Key": "k"})

    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await skip(stalled, poison, "else", **{"Idempotency-Key": "k"})).slug == "key-reused"
    assert stalled.head() == poison + len(EVERYBODY)


async def test_an_audit_knows_the_key_that_an_event_was_set_aside_with(
    stalled: Api, data_dir: Path, poison: int
) -> None:
    await skip(stalled, poison, **{"Idempotency-Key": "k"})

    audited = await asyncio.to_thread(run, "verify", "--data-dir", data_dir)

    assert "k of user 1" not in audited.stdout
    assert "no key explains" not in audited.stdout
    assert (audited.returncode, audited.stderr) == (0, "")


async def test_what_the_projections_took_or_will_take_cannot_be_set_aside(
    stalled: Api, poison: int
) -> None:
    for position in (1, poison - 1, poison + 1, 10_000):
        answer = await skip(stalled, position)
        assert (answer.status, answer.slug) == (422, "bad-field")
    await skip(stalled, poison)

    assert (await skip(stalled, poison)).slug == "bad-field"
    assert stalled.head() == poison + len(EVERYBODY)


@pytest.mark.parametrize(("position", "because"), [(0, WHY), (3, ""), (3, "x" * 1_001)])
async def test_an_event_is_set_aside_by_its_position_and_with_a_reason(
    stalled: Api, position: int, because: str
) -> None:
    assert (await skip(stalled, position, because)).slug == "bad-field"


async def test_a_stall_is_told_with_its_position_and_its_cause(stalled: Api, poison: int) -> None:
    ready, metrics = await stalled.get("/readyz"), await stalled.get("/metrics")

    reasons = {
        part["reason"] for part in ready.json["parts"] if part["name"].startswith("projection ")
    }
    assert ready.status == 503
    assert reasons == {f"the event at position {poison} cannot be read: unknown topic"}
    wanted = f'projection_poison_position{{cause="unknown topic",projection="tables"}} {poison}.0'
    assert wanted.encode() in metrics.body
