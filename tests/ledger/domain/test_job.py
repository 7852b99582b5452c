"""Starting and finishing a job, and folding its events into its state."""

import uuid
from typing import Any

import pytest

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.domain.job import (
    MAX_ATTEMPTS,
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
    last = job.last
    assert (job.job_id, last.status, last.workflow_id) == ("j", "running", "w")
    assert (last.parameters, last.started_at, last.finished_at) == ({"steps": 20}, at(1), None)


def test_evolve_of_a_failed_end_keeps_the_start_and_the_error() -> None:
    start, end = recorded(
        started(workflow_id="w"), finished(status="failed", private={"error": "out of memory"})
    )

    job = evolve(evolve(None, start), end)

    assert job is not None
    last = job.last
    assert (last.status, last.error, last.finished_at) == ("failed", "out of memory", at(2))
    assert (job.version, last.started_at, last.workflow_id) == (2, at(1), "w")


def test_evolve_finds_each_attempt_in_any_order_of_their_events() -> None:
    numbers = [1, 1, 3, 2, 3, 4, 1, 4, 2]
    events = recorded(*(started(attempt=number) for number in numbers))
    job, expected = None, list[int]()
    for number, event in zip(numbers, events, strict=True):
        job = evolve(job, event)
        expected = [*(each for each in expected if each != number), number]

        assert job is not None
        assert [each.number for each in job.attempts] == expected
        assert job.highest == max(expected)


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


def end(
    job: Job | None,
    status: Any = "completed",
    error: str | None = None,
    attempt: int | None = None,
) -> list[Event]:
    intent = JobEnd(status=status, error=error, attempt=attempt)
    return finish(job, intent, job_id="j", origin=origin(command="c"))


def test_start_records_the_given_fields() -> None:
    (event,) = begin(None, workflow_id="w", parent_job_id="p", parameters={"a": 1})

    assert event == JobStarted(
        originator_id=job_stream("1", "j"),
        originator_version=1,
        by="1",
        user_id="1",
        job_id="j",
        attempt=1,
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
        attempt=1,
        workflow_id="w",
        command="c",
        status="failed",
        private={"error": "why"},
    )


def test_a_job_without_a_start_can_be_finished_and_its_attempt_not_started_afterwards() -> None:
    (event,) = end(None)

    with pytest.raises(JobStateError, match="ended without a start: begin attempt 2"):
        begin(folded(event), attempt=1)
    with pytest.raises(JobStateError, match="ended as completed: begin attempt 2"):
        begin(folded(event))
    assert numbers(begin(folded(event), attempt=2)) == [2]


def test_repeating_a_start_or_an_end_records_nothing() -> None:
    running = folded(started(private={"parameters": {"a": [1], "b": 2}}))
    over = folded(started(), finished())

    assert begin(running, parameters={"b": 2, "a": [1]}) == []
    assert begin(over, attempt=1) == end(over) == end(over, attempt=1) == []


def numbers(events: list[Event]) -> list[int | None]:
    """Return the attempts of the events of a job."""
    return [event.attempt for event in events if isinstance(event, JobStarted | JobFinished)]


def retried(*later: Event) -> Job | None:
    """Fold a job that failed, began attempt 2 with parameters, and has `later` events."""
    second = started(originator_version=3, attempt=2, private={"parameters": {"lr": 2}})
    return folded(started(attempt=1), finished(attempt=1, status="failed"), second, *later)


def test_attempt_2_begins_after_attempt_1_ended_and_not_before() -> None:
    failed = folded(started(attempt=1), finished(attempt=1, status="failed"))

    assert numbers(begin(failed, attempt=2, workflow_id="another")) == [2]
    with pytest.raises(JobStateError, match="of job j is running: end attempt 1, then begin att"):
        begin(folded(started(attempt=1)), attempt=2)


def test_a_job_has_a_thousand_attempts_at_most() -> None:
    ended = [
        event
        for number in range(1, MAX_ATTEMPTS + 1)
        for event in (started(attempt=number), finished(attempt=number))
    ]
    job = folded(*ended)

    with pytest.raises(JobStateError, match=r"job j has had 1,000 attempts.* a job of its own"):
        begin(job, attempt=MAX_ATTEMPTS + 1)
    assert begin(folded(*ended[:-2]), attempt=MAX_ATTEMPTS) != []


def test_start_without_a_number_never_begins_attempt_2() -> None:
    failed = folded(started(attempt=1), finished(attempt=1, status="failed"))

    with pytest.raises(JobStateError, match="attempt 1 of job j ended as failed: begin attempt 2"):
        begin(failed)


def test_start_repeats_an_attempt_that_exists_running_or_not() -> None:
    assert begin(retried(), parameters={"lr": 2}) == []
    assert begin(retried(), attempt=2, parameters={"lr": 2}) == []
    assert begin(retried(), attempt=1) == []
    assert begin(retried(finished(originator_version=4, attempt=2)), attempt=1) == []


@pytest.mark.parametrize(
    ("job", "attempt", "following"),
    [
        (None, 2, "begin attempt 1"),
        (folded(started(attempt=1)), 3, "end attempt 1, then begin attempt 2"),
        (folded(finished(attempt=1, originator_version=1)), 3, "begin attempt 2"),
        (retried(), 4, "end attempt 2, then begin attempt 3"),
    ],
)
def test_start_refuses_an_attempt_that_is_not_next_and_names_the_next(
    job: Job | None, attempt: int, following: str
) -> None:
    with pytest.raises(JobStateError, match=f"attempt {attempt} of .* next one: {following}$"):
        begin(job, attempt=attempt)


def test_finish_without_a_number_ends_the_running_attempt() -> None:
    assert numbers(end(retried())) == [2]
    assert numbers(end(retried(), attempt=2)) == [2]


def test_finish_of_an_earlier_attempt_repeats_its_end_or_is_refused() -> None:
    assert end(retried(), "failed", attempt=1) == []
    with pytest.raises(JobStateError, match="attempt 1 of job j ended before, as failed"):
        end(retried(), "completed", attempt=1)
    with pytest.raises(JobStateError, match="attempt 3 of job j has not begun"):
        end(retried(), "completed", attempt=3)


def test_evolve_keeps_each_attempt_with_its_values() -> None:
    job = retried()

    assert job is not None
    assert [(each.number, each.status, each.parameters) for each in job.attempts] == [
        (1, "failed", None),
        (2, "running", {"lr": 2}),
    ]


@pytest.mark.parametrize("attempt", [0, -1])
def test_an_attempt_below_1_is_refused(attempt: int) -> None:
    with pytest.raises(FieldError, match="attempt: must be 1 or more"):
        begin(None, attempt=attempt)
    with pytest.raises(FieldError, match="attempt: must be 1 or more"):
        end(None, attempt=attempt)


@pytest.mark.parametrize("parameters", [None, {}, {"a": True}, {"a": 1.0}, {"a": 1, "b": 2}])
def test_start_refuses_other_parameters_than_the_first(parameters: Any) -> None:
    running = folded(started(private={"parameters": {"a": 1}}))

    with pytest.raises(JobStateError, match="with other values"):
        begin(running, parameters=parameters)


def test_finish_refuses_another_end_than_the_first() -> None:
    over = folded(finished(originator_version=1))

    for other in (("failed", None), ("completed", "why")):
        with pytest.raises(JobStateError, match="ended before, as completed: begin attempt 2"):
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
