"""Starting and finishing a job, and folding its events into its state."""

import uuid
from typing import Any

import pytest

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.domain.job import (
    Job,
    JobEnd,
    JobFinished,
    JobStart,
    JobStarted,
    evolve,
    finish,
    job_stream,
    start,
)
from asset_ledger.ledger.errors import FieldError, JobStateError, TooLargeError
from tests.builders import at, created, finished, origin, recorded, started


def test_job_streams_of_two_users_differ_for_the_same_job_id() -> None:
    assert job_stream("1", "job_456") != job_stream("2", "job_456")
    assert (
        job_stream("1", "2\0x") == uuid.uuid5(uuid.NAMESPACE_URL, "asset-ledger:job:1\x002\0x").hex
    )


def test_evolve_of_a_start_gives_a_running_job_with_parameters() -> None:
    (start,) = recorded(started(workflow_id="w", private={"parameters": {"steps": 20}}))

    job = evolve(None, start)

    assert job is not None
    assert (job.job_id, job.status, job.workflow_id) == ("j", "running", "w")
    assert (job.parameters, job.started_at, job.finished_at) == ({"steps": 20}, at(1), None)


def test_evolve_of_a_failed_end_keeps_the_start_and_the_error() -> None:
    start, end = recorded(
        started(workflow_id="w"), finished(status="failed", private={"error": "out of memory"})
    )

    job = evolve(evolve(None, start), end)

    assert job is not None
    assert (job.status, job.error, job.finished_at) == ("failed", "out of memory", at(2))
    assert (job.version, job.started_at, job.workflow_id) == (2, at(1), "w")


def test_evolve_ignores_events_of_assets() -> None:
    (asset,) = recorded(created(job_id="j"))

    assert evolve(None, asset) is None


def folded(*events: Event) -> Job | None:
    """Fold the events of a job's stream."""
    job: Job | None = None
    for event in recorded(*events):
        job = evolve(job, event)
    return job


def begin(job: Job | None, **fields: Any) -> list[Event]:
    return start(job, JobStart(**fields), job_id="j", origin=origin(command="c"))


def end(job: Job | None, status: Any = "completed", error: str | None = None) -> list[Event]:
    return finish(job, JobEnd(status=status, error=error), job_id="j", origin=origin(command="c"))


def test_start_records_the_given_fields() -> None:
    (event,) = begin(None, workflow_id="w", parent_job_id="p", parameters={"a": 1})

    assert event == JobStarted(
        originator_id=job_stream("1", "j"),
        originator_version=1,
        by="1",
        user_id="1",
        job_id="j",
        workflow_id="w",
        command="c",
        parent_job_id="p",
        private={"parameters": {"a": 1}},
    )


def test_finish_keeps_the_workflow_of_the_start() -> None:
    (event,) = end(folded(started(workflow_id="w")), "failed", "why")

    assert event == JobFinished(
        originator_id=job_stream("1", "j"),
        originator_version=2,
        by="1",
        user_id="1",
        job_id="j",
        workflow_id="w",
        command="c",
        status="failed",
        private={"error": "why"},
    )


def test_a_job_without_a_start_can_be_finished_and_not_started_afterwards() -> None:
    (event,) = end(None)

    with pytest.raises(JobStateError, match="was finished without a start"):
        begin(folded(event))


def test_repeating_a_start_or_an_end_records_nothing() -> None:
    running = folded(started(private={"parameters": {"a": [1], "b": 2}}))
    over = folded(started(), finished())

    assert begin(running, parameters={"b": 2, "a": [1]}) == []
    assert begin(over) == end(over) == []


@pytest.mark.parametrize("parameters", [None, {}, {"a": True}, {"a": 1.0}, {"a": 1, "b": 2}])
def test_start_refuses_other_parameters_than_the_first(parameters: Any) -> None:
    running = folded(started(private={"parameters": {"a": 1}}))

    with pytest.raises(JobStateError, match="with other values"):
        begin(running, parameters=parameters)


def test_finish_refuses_another_end_than_the_first() -> None:
    over = folded(finished(originator_version=1))

    for other in (("failed", None), ("completed", "why")):
        with pytest.raises(JobStateError, match="finished before, as completed"):
            end(over, *other)


def test_start_and_finish_refuse_invalid_values() -> None:
    with pytest.raises(FieldError, match="workflow_id"):
        begin(None, workflow_id="")
    with pytest.raises(TooLargeError, match="parameters"):
        begin(None, parameters={"a": "x" * 40_000})
    with pytest.raises(FieldError, match="status: must be one of completed, failed, cancelled"):
        end(None, "running")
    with pytest.raises(FieldError, match="error"):
        end(None, "failed", "\0")
