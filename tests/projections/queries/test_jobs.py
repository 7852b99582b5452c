"""Jobs, read from the table and folded from the log."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given

from asset_ledger.ledger.domain.event import Event, parse_time
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.errors import UnknownJobError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.jobs import JobQueries, job_document
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.tables.assets import document as asset_document
from tests.builders import (
    START,
    asset_id,
    created,
)
from tests.projections.histories import histories
from tests.projections.world import World, read_job, select, world
from tests.properties import examples


async def test_job_without_start_and_end_is_untracked(
    here: World, runner: Runner, jobs: JobQueries
) -> None:
    here.write(runner, created(size=4, workflow_id="w", job_id="j"))

    job = await read_job(jobs)
    assert parse_time(job.pop("updated_at")) == here.log.head().recorded_at
    assert job == {
        "job_id": "j",
        "user_id": "1",
        "workflow_id": "w",
        "parent_job_id": None,
        "attempt": 1,
        "status": "untracked",
        "error": None,
        "parameters": None,
        "started_at": None,
        "finished_at": None,
        "assets": 1,
        "bytes": 4,
        "attempts": [],
        "first_position": 2,
        "last_position": 2,
    }


async def test_jobs_with_the_same_id_of_two_users_are_separate(
    here: World, runner: Runner, jobs: JobQueries
) -> None:
    here.write(runner, created(size=4, job_id="j"))
    here.write(runner, created(originator_id=asset_id(2), user_id="2", size=9, job_id="j"))

    assert (await read_job(jobs))["bytes"] == 4
    assert (await read_job(jobs, "2"))["bytes"] == 9


async def test_job_without_events_is_unknown(jobs: JobQueries) -> None:
    with pytest.raises(UnknownJobError):
        await jobs.find("1", "j")


class JobWithAssets(NamedTuple):
    """A job and its live assets, in the order of their creation."""

    job: dict[str, Any]
    assets: list[dict[str, Any]]


Jobs = dict[tuple[str, str], JobWithAssets]


LIVE = """SELECT json FROM assets WHERE user_id = ? AND job_id = ? AND deleted_at IS NULL
    ORDER BY seq"""


@given(events=histories())
@examples(40)
def test_replayed_job_equals_the_row_at_every_position(events: list[Event]) -> None:
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        with here.projections() as runner:
            shown = {position: tabled(runner) for position in recorded(here, runner, events)}
        replay = Replay(here.log, Codec())

        assert {position: replayed(replay, jobs, position) for position, jobs in shown.items()} == (
            shown
        )


def recorded(here: World, runner: Runner, events: list[Event]) -> Any:
    """Record one event after the other; yield the position of each."""
    for event in events:
        assert here.write(runner, event)
        yield here.feed.head()


ATTEMPT = ("attempt", "error", "started_at", "finished_at", "status")
ATTEMPTS = f"""SELECT {", ".join(ATTEMPT)} FROM job_attempts
    WHERE user_id = ? AND job_id = ? ORDER BY attempt"""


def tabled(runner: Runner) -> Jobs:
    rows = select(runner, "SELECT * FROM jobs")
    names = [row[1] for row in select(runner, "PRAGMA table_info(jobs)")]
    jobs = [dict(zip(names, row, strict=True)) for row in rows]
    return {(job["user_id"], job["job_id"]): from_table(runner, job) for job in jobs}


def from_table(runner: Runner, job: dict[str, Any]) -> JobWithAssets:
    parameters = job["parameters"] and orjson.loads(job["parameters"])
    key = (job["user_id"], job["job_id"])
    assets = [orjson.loads(json) for (json,) in select(runner, LIVE, key)]
    attempts = [dict(zip(ATTEMPT, row, strict=True)) for row in select(runner, ATTEMPTS, key)]
    return JobWithAssets(job | {"parameters": parameters, "attempts": attempts}, assets)


def replayed(replay: Replay, jobs: Jobs, position: int) -> Jobs:
    records = {name: replay.job_record(*name, upto=position) for name in jobs}
    return {name: from_record(record) for name, record in records.items()}


def from_record(record: JobRecord) -> JobWithAssets:
    assets = [orjson.loads(orjson.dumps(asset_document(asset))) for asset in record.live]
    return JobWithAssets(job_document(record, stale_before=START), assets)
