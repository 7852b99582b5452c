"""The frame around a job's work: that it started, with what, and how it ended.

A job needs no frame: any event may name a `job_id`. Two users may both have a `job_456`, so a
job's stream is made of both names.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, get_args

import orjson

from asset_ledger.ledger.domain.checks import MAX_ID, check_metadata, check_tag, check_text
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

Ending = Literal["completed", "failed", "cancelled"]
JobStatus = Literal["untracked", "running"] | Ending

ENDINGS: Final[tuple[str, ...]] = get_args(Ending)
MAX_ERROR: Final = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(TaggedEvent):
    """Somebody said that a job begins. Private: parameters."""

    TOPIC: ClassVar[str] = "job.started"
    parent_job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished(TaggedEvent):
    """Somebody said that a job is over. Private: error.

    `events` counts the job's events, this one included: a history that lacks one shows it.
    """

    TOPIC: ClassVar[str] = "job.finished"
    COUNTS_ITS_JOB: ClassVar[bool] = True
    status: Ending
    events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the events of a job's own stream add up to."""

    job_id: str
    user_id: str
    version: int
    workflow_id: str | None
    parent_job_id: str | None = None
    parameters: Json = None
    status: JobStatus = "running"
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


def job_stream(user_id: str, job_id: str) -> str:
    """The stream of one user's job: 32 lower-case hex digits."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"asset-ledger:job:{user_id}\0{job_id}").hex


def evolve(job: Job | None, recorded: Recorded) -> Job | None:
    """The state after one more event of the job's stream. Events of other kinds change nothing."""
    event = recorded.event
    if not isinstance(event, JobStarted | JobFinished):
        return job
    known = job or Job(
        job_id=event.job_id or "", user_id=event.user_id, version=0, workflow_id=event.workflow_id
    )
    changes = _started(event) if isinstance(event, JobStarted) else _finished(event)
    return replace(known, version=event.originator_version, **changes)


def _started(event: JobStarted) -> dict[str, Any]:
    return {
        "workflow_id": event.workflow_id,
        "parent_job_id": event.parent_job_id,
        "parameters": private_of(event).get("parameters"),
        "started_at": moment(event),
    }


def _finished(event: JobFinished) -> dict[str, Any]:
    return {
        "status": event.status,
        "error": private_of(event).get("error"),
        "finished_at": moment(event),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStart:
    """The intent to begin a job. None means: not given."""

    workflow_id: str | None = None
    parent_job_id: str | None = None
    parameters: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """The intent to end a job. `error` may say why, where it did not complete."""

    status: Ending
    error: str | None = None


def start(job: Job | None, wanted: JobStart, *, job_id: str, origin: Origin) -> list[Event]:
    """Decide that a job begins. Beginning it again with the same values records nothing.

    Raises JobStateError if it began otherwise or is over without having begun, FieldError and
    TooLargeError for a value that a field cannot have.
    """
    _check_start(job_id, wanted)
    if job is None:
        return [
            JobStarted(
                **_next_version(job, job_id, origin),
                workflow_id=wanted.workflow_id,
                parent_job_id=wanted.parent_job_id,
                private=_given("parameters", wanted.parameters),
            )
        ]
    if job.started_at is None:
        raise JobStateError(f"job {job_id} is over: it was finished without ever being started")
    if not _began_so(job, wanted):
        raise JobStateError(f"job {job_id} was started before, with other values")
    return []


def finish(job: Job | None, wanted: JobEnd, *, job_id: str, origin: Origin) -> list[Event]:
    """Decide that a job is over; it need not have been started. Repeating it records nothing.

    Raises JobStateError if it ended otherwise, FieldError for a value that a field cannot have.
    """
    _check_end(job_id, wanted)
    if job is None or job.finished_at is None:
        return [
            JobFinished(
                **_next_version(job, job_id, origin),
                workflow_id=job.workflow_id if job else None,
                status=wanted.status,
                private=_given("error", wanted.error),
            )
        ]
    if (job.status, job.error) != (wanted.status, wanted.error):
        raise JobStateError(f"job {job_id} was finished before, as {job.status}")
    return []


def _next_version(job: Job | None, job_id: str, origin: Origin) -> dict[str, Any]:
    """The envelope of the next event in a job's stream."""
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


def _began_so(job: Job, wanted: JobStart) -> bool:
    """Compared as JSON: Python takes True for 1, which in JSON are two values."""
    began = (job.workflow_id, job.parent_job_id, job.parameters)
    asked = (wanted.workflow_id, wanted.parent_job_id, wanted.parameters)
    return _as_json(began) == _as_json(asked)


def _as_json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _check_start(job_id: str, wanted: JobStart) -> None:
    check_text("job_id", job_id, MAX_ID)
    check_tag("workflow_id", wanted.workflow_id)
    check_tag("parent_job_id", wanted.parent_job_id)
    if wanted.parameters is not None:
        check_metadata(wanted.parameters, "parameters")


def _check_end(job_id: str, wanted: JobEnd) -> None:
    check_text("job_id", job_id, MAX_ID)
    if wanted.status not in ENDINGS:
        raise FieldError("status", f"must be one of {', '.join(ENDINGS)}")
    _check_error(wanted.error)


def _check_error(error: str | None) -> None:
    """A traceback has newlines; what no text has is U+0000 and halves of surrogate pairs."""
    if error is None:
        return
    if len(error) > MAX_ERROR:
        raise FieldError("error", f"must be at most {MAX_ERROR:,} characters")
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in error):
        raise FieldError("error", "must be text without U+0000")
