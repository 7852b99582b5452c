"""Skips through HTTP: stalled projections go on after the event, and the log keeps the reason."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asset_ledger.api.contract.skipping import SkipOut
from asset_ledger.api.settings import Settings
from tests.api.running import Answer, Api, database_of, flags_of, serving
from tests.journeys.server import run
from tests.journeys.unreadable import append_to_database, append_unreadable_event

REASON = "written by a release that was taken back"
ALL_PROJECTIONS = ["jobs", "assets", "lineage", "usage", "search", "catalog"]


@pytest.fixture
async def poison(data_dir: Path) -> int:
    """Return the position of an event that this release cannot read, after an asset."""
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created(name="before")
    url = database_of(data_dir)
    return append_unreadable_event(data_dir) if url is None else append_to_database(url)


@pytest.fixture
async def stalled(data_dir: Path, poison: int) -> AsyncIterator[Api]:
    """A server whose projections are all stalled at that event."""
    async with serving(Settings(data_dir=data_dir)) as api:
        yield api


async def skip(api: Api, position: int, because: str = REASON, **headers: str) -> Answer:
    sent = {"position": position, "because": because}
    return await api.call("POST", "/api/projections/skip", json=sent, headers=headers)


async def names(api: Api) -> list[str]:
    return [asset["name"] for asset in (await api.get("/api/assets")).json["assets"]]


async def test_stalled_projections_continue_after_a_skip(stalled: Api, poison: int) -> None:
    behind = await stalled.upload(name="after")
    assert behind.status == 202
    assert await names(stalled) == ["before"]

    answer = await skip(stalled, poison)

    SkipOut.model_validate(answer.json)
    assert (answer.status, answer.json["projections"]) == (202, ALL_PROJECTIONS)
    assert answer.headers["Ledger-Position"] == str(stalled.head())
    await stalled.settled()
    assert await names(stalled) == ["before", "after"]
    assert (await stalled.get("/readyz")).status == 200
    assert (await stalled.upload(name="later")).status == 201


async def test_a_skip_is_recorded_with_user_projection_position_and_reason(
    stalled: Api, poison: int
) -> None:
    await skip(stalled, poison)

    answer = await stalled.get(f"/api/events?after={poison}&all=true")

    events = answer.json["events"]
    assert [event["topic"] for event in events] == ["projection.skipped"] * len(ALL_PROJECTIONS)
    assert [event["data"]["projection"] for event in events] == ALL_PROJECTIONS
    assert {event["data"]["position"] for event in events} == {poison}
    assert {(event["by"], event["data"]["reason"]) for event in events} == {("1", REASON)}


async def test_a_repeated_skip_records_nothing(stalled: Api, poison: int) -> None:
    first = await skip(stalled, poison, **{"Idempotency-Key": "k"})
    repeated = await skip(stalled, poison, **{"Idempotency-Key": "k"})

    assert repeated.json == first.json
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert (await skip(stalled, poison, "else", **{"Idempotency-Key": "k"})).slug == "key-reused"
    assert stalled.head() == poison + len(ALL_PROJECTIONS)


async def test_verify_accepts_the_idempotency_key_of_a_skip(
    stalled: Api, data_dir: Path, poison: int
) -> None:
    await skip(stalled, poison, **{"Idempotency-Key": "k"})

    audited = await asyncio.to_thread(run, "verify", *flags_of(data_dir))

    assert "k of user 1" not in audited.stdout
    assert "no key has the command" not in audited.stdout
    assert (audited.returncode, audited.stderr) == (0, ""), audited.stdout


async def test_a_skip_is_refused_at_other_positions_than_the_stall(
    stalled: Api, poison: int
) -> None:
    for position in (1, poison - 1, poison + 1, 10_000):
        answer = await skip(stalled, position)
        assert (answer.status, answer.slug) == (422, "bad-field")
    await skip(stalled, poison)

    assert (await skip(stalled, poison)).slug == "bad-field"
    assert stalled.head() == poison + len(ALL_PROJECTIONS)


@pytest.mark.parametrize(("position", "because"), [(0, REASON), (3, ""), (3, "x" * 1_001)])
async def test_a_skip_without_a_valid_position_and_reason_is_refused(
    stalled: Api, position: int, because: str
) -> None:
    assert (await skip(stalled, position, because)).slug == "bad-field"


async def test_a_stall_is_reported_with_its_position_and_cause(stalled: Api, poison: int) -> None:
    ready, metrics = await stalled.get("/readyz"), await stalled.get("/metrics")

    reasons = {
        part["reason"] for part in ready.json["parts"] if part["name"].startswith("projection ")
    }
    assert ready.status == 503
    reason = f"the event at position {poison} cannot be read: unknown topic; see the server's log"
    assert reasons == {f"{reason}, then skip it or install a release that reads it"}
    sample = f'projection_poison_position{{cause="unknown topic",projection="tables"}} {poison}.0'
    assert sample.encode() in metrics.body
