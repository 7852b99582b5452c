"""The start and the end of each attempt of a job: events, state and decisions.

Both are optional: any event may name a `job_id`. Two users may both have a `job_456`, so the id
of a job's stream is derived from the user id and the job id.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, get_args

import orjson

from asset_ledger.ledger.domain.checks import (
    MAX_ID,
    check_attempt,
    check_error,
    check_metadata,
    check_tag,
    check_text,
)
from asset_ledger.ledger.domain.event import (
    Event,
    Json,
    Origin,
    Recorded,
    TaggedEvent,
    moment,
    private_of,
)
from asset_ledger.ledger.errors import FieldError, JobStateError

Ending = Literal["completed", "failed", "cancelled", "lost"]
"""`lost`: the job stopped without a report of its own."""
JobStatus = Literal["untracked", "running", "stale"] | Ending
"""`stale`: running, without an event for `job_silence`. It is computed when a job is read."""

ENDINGS: Final[tuple[str, ...]] = get_args(Ending)


MAX_ATTEMPTS: Final = 1_000
"""The attempts of one job that can be started: each answer about the job lists them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(TaggedEvent):
    """A client reported the start of an attempt. `private`: parameters. `made_at`: claimed time."""

    TOPIC: ClassVar[str] = "job.started"
    parent_job_id: str | None = None
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished(TaggedEvent):
    """A client reported the end of an attempt. `private`: error.

    `events` is the number of the job's events, this one included: it shows that none is missing.
    `made_at`: the claimed time.
    """

    TOPIC: ClassVar[str] = "job.finished"
    COUNTS_ITS_JOB: ClassVar[bool] = True
    status: Ending
    events: int = 0
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a job. `started_at` is None if only its end was recorded."""

    number: int = 1
    workflow_id: str | None = None
    parent_job_id: str | None = None
    parameters: Json = None
    status: JobStatus = "running"
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.finished_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The state of one job: the fold of the events of its stream. It has at least one attempt.

    `highest` is the highest number of an attempt.
    """

    job_id: str
    user_id: str
    version: int
    attempts: tuple[Attempt, ...] = (Attempt(),)
    highest: int = 1

    @property
    def last(self) -> Attempt:
        """The running attempt, or the one that ended last."""
        return self.attempts[-1]

    def attempt(self, number: int | None) -> Attempt | None:
        """Return the attempt with this number, by default the last; None if it did not begin."""
        found = (each for each in self.attempts if each.number == number)
        return self.last if number is None else next(found, None)


def job_stream(user_id: str, job_id: str) -> str:
    """Return the stream of one user's job: 32 lower-case hex digits."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"asset-ledger:job:{user_id}\0{job_id}").hex


def evolve(job: Job | None, recorded: Recorded) -> Job | None:
    """Return the state after the next event of the stream. Ignore events of other kinds."""
    event = recorded.event
    if not isinstance(event, JobStarted | JobFinished):
        return job
    earlier = job.attempts if job else ()
    number = event.attempt or 1
    place = _place(job, number)
    before = earlier[place] if place < len(earlier) else None
    changed = _started(event, number) if isinstance(event, JobStarted) else _finished(event, before)
    return Job(
        job_id=event.job_id or "",
        user_id=event.user_id,
        version=event.originator_version,
        attempts=(*earlier[:place], *earlier[place + 1 :], changed),
        highest=max(number, job.highest) if job else number,
    )


def _place(job: Job | None, number: int) -> int:
    """Return the index of an attempt among those of a job; their number if it is new.

    It is mostly new, or the last one: a search each time would make a fold quadratic.
    """
    if job is None or number > job.highest:
        return len(job.attempts) if job else 0
    if job.last.number == number:
        return len(job.attempts) - 1
    found = (index for index, each in enumerate(job.attempts) if each.number == number)
    return next(found, len(job.attempts))


def _started(event: JobStarted, number: int) -> Attempt:
    return Attempt(
        number=number,
        workflow_id=event.workflow_id,
        parent_job_id=event.parent_job_id,
        parameters=private_of(event).get("parameters"),
        started_at=event.made_at or moment(event),
    )


def _finished(event: JobFinished, before: Attempt | None) -> Attempt:
    error = private_of(event).get("error")
    return replace(
        before or Attempt(number=event.attempt or 1, workflow_id=event.workflow_id),
        status=event.status,
        error=error if isinstance(error, str) else None,
        finished_at=event.made_at or moment(event),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStart:
    """The intent to start a job. None means: not given. `attempt`: see `start`."""

    workflow_id: str | None = None
    parent_job_id: str | None = None
    parameters: Mapping[str, Json] | None = None
    attempt: int | None = None
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """The intent to finish a job. `error` is the reason of a failure, `attempt`: see `finish`."""

    status: Ending
    error: str | None = None
    attempt: int | None = None
    made_at: datetime | None = None


def start(job: Job | None, intent: JobStart, *, job_id: str, origin: Origin) -> list[Event]:
    """Begin an attempt. Repeating a start with the same values records nothing.

    Without a number: begin attempt 1, or repeat the running one. With a number: begin the attempt
    after the last one, if that one ended, or repeat any that exists.
    Raises JobStateError, which names the next attempt; FieldError and TooLargeError for an invalid
    value.
    """
    _check_start(job_id, intent)
    number, due = intent.attempt, job.last.number + 1 if job else 1
    if number is None and job is not None and job.last.ended:
        raise _refused(job_id, job, job.last.number, f"ended as {job.last.status}")
    existing = job.attempt(number) if job else None
    if existing is not None:
        _check_repeated(job_id, job, existing, intent)
        return []
    if number not in (None, due):
        raise _refused(job_id, job, number, "is not the next one")
    if job is not None and not job.last.ended:
        raise _refused(job_id, job, job.last.number, "is running")
    if due > MAX_ATTEMPTS:
        raise JobStateError(
            f"job {job_id} has had {due - 1:,} attempts, the most of one job: give the next"
            " run a job of its own"
        )
    return [
        JobStarted(
            **_next_version(job, job_id, origin),
            attempt=due,
            workflow_id=intent.workflow_id,
            parent_job_id=intent.parent_job_id,
            made_at=intent.made_at,
            private=_given("parameters", intent.parameters),
        )
    ]


def finish(job: Job | None, intent: JobEnd, *, job_id: str, origin: Origin) -> list[Event]:
    """End an attempt, started or not: the one with the given number, or the last one.

    Repeating an end with the same values records nothing. Raises JobStateError if the attempt did
    not begin, or ended with other values; FieldError for an invalid value.
    """
    _check_end(job_id, intent)
    ending = job.attempt(intent.attempt) if job else None
    if ending is None and intent.attempt not in (None, 1):
        raise _refused(job_id, job, intent.attempt, "has not begun")
    if ending is None or not ending.ended:
        return [
            JobFinished(
                **_next_version(job, job_id, origin),
                attempt=ending.number if ending else 1,
                workflow_id=ending.workflow_id if ending else None,
                status=intent.status,
                made_at=intent.made_at,
                private=_given("error", intent.error),
            )
        ]
    if (ending.status, ending.error) != (intent.status, intent.error):
        raise _refused(job_id, job, ending.number, f"ended before, as {ending.status}")
    if intent.made_at not in (None, ending.finished_at):
        raise _refused(job_id, job, ending.number, "ended before, at another time")
    return []


def _check_repeated(job_id: str, job: Job | None, attempt: Attempt, intent: JobStart) -> None:
    """Raise JobStateError unless the attempt was started with the same values."""
    if attempt.started_at is None:
        raise _refused(job_id, job, attempt.number, "ended without a start")
    if not _started_with(attempt, intent):
        raise _refused(job_id, job, attempt.number, "started with other values")
    if intent.made_at not in (None, attempt.started_at):
        raise _refused(job_id, job, attempt.number, "started at another time")


def _refused(job_id: str, job: Job | None, number: int | None, reason: str) -> JobStateError:
    """Return the error for a job in this state. Its message ends with what is possible next."""
    if job is None:
        following = "begin attempt 1"
    elif job.last.ended:
        following = f"begin attempt {job.last.number + 1}"
    else:
        following = f"end attempt {job.last.number}, then begin attempt {job.last.number + 1}"
    return JobStateError(f"attempt {number} of job {job_id} {reason}: {following}")


def _next_version(job: Job | None, job_id: str, origin: Origin) -> dict[str, Any]:
    """Return the common fields of the next event in a job's stream."""
    return {
        "originator_id": job_stream(origin.user_id, job_id),
        "originator_version": job.version + 1 if job else 1,
        "by": origin.by,
        "user_id": origin.user_id,
        "job_id": job_id,
        "command": origin.command,
        "traceparent": origin.traceparent,
    }


def _given(name: str, value: Json) -> dict[str, Json]:
    return {} if value is None else {name: value}


def _started_with(attempt: Attempt, intent: JobStart) -> bool:
    """Compare as JSON, where True and 1 differ. In Python they are equal."""
    first = (attempt.workflow_id, attempt.parent_job_id, attempt.parameters)
    given = (intent.workflow_id, intent.parent_job_id, intent.parameters)
    return _as_json(first) == _as_json(given)


def _as_json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _check_start(job_id: str, intent: JobStart) -> None:
    check_text("job_id", job_id, MAX_ID)
    check_attempt(intent.attempt, job_id)
    check_tag("workflow_id", intent.workflow_id)
    check_tag("parent_job_id", intent.parent_job_id)
    if intent.parameters is not None:
        check_metadata(intent.parameters, "parameters")


def _check_end(job_id: str, intent: JobEnd) -> None:
    check_text("job_id", job_id, MAX_ID)
    check_attempt(intent.attempt, job_id)
    if intent.status not in ENDINGS:
        raise FieldError("status", f"must be one of {', '.join(ENDINGS)}")
    check_error(intent.error)
