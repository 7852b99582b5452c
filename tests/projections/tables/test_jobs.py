"""The rows of jobs, filled from events."""

import pytest

from asset_ledger.ledger.domain.event import Event, iso, moment
from asset_ledger.projections.queries.jobs import JobQueries
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import (
    asset_id,
    created,
    deleted,
    described,
    finished,
    replaced,
    restored,
    started,
)
from tests.projections.world import World, read_job, select, world

JOB = {"job_id": "j"}


async def test_job_row_has_the_recorded_start_and_end(
    here: World, runner: Runner, jobs: JobQueries
) -> None:
    begin = started(workflow_id="w", parent_job_id="p", private={"parameters": {"b": [1], "a": 2}})
    end = finished(status="failed", private={"error": "out of paint"})
    here.write(runner, begin)
    running = await read_job(jobs)
    here.write(runner, created(**JOB), end)
    over = await read_job(jobs)

    assert (running["status"], running["finished_at"]) == ("running", None)
    assert running["started_at"] == iso(moment(begin))
    assert running["parameters"] == {"a": 2, "b": [1]}
    assert (over["status"], over["error"]) == ("failed", "out of paint")
    assert over["finished_at"] == iso(moment(end))
    assert (over["workflow_id"], over["parent_job_id"], over["assets"]) == ("w", "p", 1)
    assert (over["first_position"], over["last_position"]) == (2, 4)


@pytest.mark.parametrize(
    ("later", "totals"),
    [
        ([described(private={"name": "x"}, **JOB)], (2, 14)),
        ([replaced(size=7, **JOB)], (2, 17)),
        ([deleted(**JOB)], (1, 10)),
        ([deleted(**JOB), restored(**JOB)], (2, 14)),
        ([replaced(size=7, **JOB), deleted(originator_version=3, **JOB)], (1, 10)),
    ],
)
async def test_job_totals_are_those_of_its_live_assets(
    here: World, runner: Runner, jobs: JobQueries, later: list[Event], totals: tuple[int, int]
) -> None:
    here.write(runner, created(size=4, **JOB), created(originator_id=asset_id(2), size=10, **JOB))
    here.write(runner, *later)

    job = await read_job(jobs)

    assert (job["assets"], job["bytes"]) == totals
    assert job["last_position"] == here.feed.head()


async def test_assets_of_one_group_count_as_if_they_were_recorded_one_by_one(
    here: World, runner: Runner, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def made() -> list[Event]:
        tags: list[dict[str, str]] = [{}, {"workflow_id": "w"}, {"workflow_id": "other"}]
        return [
            created(originator_id=asset_id(n), job_id=f"j{n % 2}", size=10 + n, **tags[n % 3])
            for n in range(9)
        ]

    with world(tmp_path_factory.mktemp("single")) as other, other.projections() as single:
        for event in made():
            other.write(single, event)
        here.write(runner, *made())

        rows = "SELECT user_id, job_id, workflow_id, assets, bytes, first_position, last_position"
        expected = select(single, f"{rows} FROM jobs ORDER BY job_id")
        assert select(runner, f"{rows} FROM jobs ORDER BY job_id") == expected
    assert [(row[2], row[3]) for row in expected] == [("other", 5), ("w", 4)]
