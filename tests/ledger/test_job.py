"""What the facts of a job's own stream add up to."""

import uuid

from ledger.job import evolve, job_stream
from tests.builders import at, created, finished, recorded, started


def test_two_users_jobs_of_one_name_are_two_streams() -> None:
    assert job_stream("1", "job_456") != job_stream("2", "job_456")
    assert (
        job_stream("1", "2\0x") == uuid.uuid5(uuid.NAMESPACE_URL, "asset-ledger:job:1\x002\0x").hex
    )


def test_a_started_job_runs_with_its_parameters() -> None:
    (start,) = recorded(started(workflow_id="w", private={"parameters": {"steps": 20}}))

    job = evolve(None, start)

    assert job is not None
    assert (job.job_id, job.status, job.workflow_id) == ("j", "running", "w")
    assert (job.parameters, job.started_at, job.finished_at) == ({"steps": 20}, at(1), None)


def test_a_failed_job_says_why_and_keeps_how_it_began() -> None:
    start, end = recorded(
        started(workflow_id="w"), finished(status="failed", private={"error": "out of memory"})
    )

    job = evolve(evolve(None, start), end)

    assert job is not None
    assert (job.status, job.error, job.finished_at) == ("failed", "out of memory", at(2))
    assert (job.version, job.started_at, job.workflow_id) == (2, at(1), "w")


def test_facts_of_assets_do_not_frame_a_job() -> None:
    (asset,) = recorded(created(job_id="j"))

    assert evolve(None, asset) is None
