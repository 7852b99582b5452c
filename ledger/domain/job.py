"""The start and the end of a job: events, state and decisions.

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

Ending = Literal["completed", "failed", "cancelled"]
JobStatus = Literal["untracked", "running"] | Ending

ENDINGS: Final[tuple[str, ...]] = get_args(Ending)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(TaggedEvent):
    """A client reported the start of a job. `private`: parameters. `made_at`: the claimed time."""

    TOPIC: ClassVar[str] = "job.started"
    parent_job_id: str | None = None
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished(TaggedEvent):
    """A client reported the end of a job. `private`: error.

    `events` is the number of the job's events, this one included: it shows that none is missing.
    `made_at`: the claimed time.
    """

    TOPIC: ClassVar[str] = "job.finished"
    COUNTS_ITS_JOB: ClassVar[bool] = True
    status: Ending
    events: int = 0
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The state of one job: the fold of the events of its stream."""

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
    """Return the stream of one user's job: 32 lower-case hex digits."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"asset-ledger:job:{user_id}\0{job_id}").hex


def evolve(job: Job | None, recorded: Recorded) -> Job | None:
    """Return the state after the next event of the stream. Ignore events of other kinds."""
    event = recorded.event
    if not isinstance(event, JobStarted | JobFinished):
        return job
    before = job or Job(
        job_id=event.job_id or "", user_id=event.user_id, version=0, workflow_id=event.workflow_id
    )
    changes = _started(event) if isinstance(event, JobStarted) else _finished(event)
    return replace(before, version=event.originator_version, **changes)


def _started(event: JobStarted) -> dict[str, Any]:
    return {
        "workflow_id": event.workflow_id,
        "parent_job_id": event.parent_job_id,
        "parameters": private_of(event).get("parameters"),
        "started_at": event.made_at or moment(event),
    }


def _finished(event: JobFinished) -> dict[str, Any]:
    return {
        "status": event.status,
        "error": private_of(event).get("error"),
        "finished_at": event.made_at or moment(event),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStart:
    """The intent to start a job. None means: not given."""

    workflow_id: str | None = None
    parent_job_id: str | None = None
    parameters: Mapping[str, Json] | None = None
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """The intent to finish a job. `error` is the reason of a failure, if given."""

    status: Ending
    error: str | None = None
    made_at: datetime | None = None


def start(job: Job | None, intent: JobStart, *, job_id: str, origin: Origin) -> list[Event]:
    """Start a job. Repeating the start with the same values records nothing.

    Raises JobStateError if the job was started with other values, or finished without a start;
    FieldError and TooLargeError for an invalid value.
    """
    _check_start(job_id, intent)
    if job is None:
        return [
            JobStarted(
                **_next_version(job, job_id, origin),
                workflow_id=intent.workflow_id,
                parent_job_id=intent.parent_job_id,
                made_at=intent.made_at,
                private=_given("parameters", intent.parameters),
            )
        ]
    if job.started_at is None:
        raise JobStateError(f"job {job_id} was finished without a start: use another id")
    if not _started_with(job, intent):
        raise JobStateError(f"job {job_id} was started before, with other values: use another id")
    return []


def finish(job: Job | None, intent: JobEnd, *, job_id: str, origin: Origin) -> list[Event]:
    """Finish a job, started or not. Repeating the end with the same values records nothing.

    Raises JobStateError if the job was finished with other values, FieldError for an invalid value.
    """
    _check_end(job_id, intent)
    if job is None or job.finished_at is None:
        return [
            JobFinished(
                **_next_version(job, job_id, origin),
                workflow_id=job.workflow_id if job else None,
                status=intent.status,
                made_at=intent.made_at,
                private=_given("error", intent.error),
            )
        ]
    if (job.status, job.error) != (intent.status, intent.error):
        raise JobStateError(f"job {job_id} was finished before, as {job.status}: use another id")
    return []


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


def _started_with(job: Job, intent: JobStart) -> bool:
    """Compare as JSON, where True and 1 differ. In Python they are equal."""
    first = (job.workflow_id, job.parent_job_id, job.parameters)
    given = (intent.workflow_id, intent.parent_job_id, intent.parameters)
    return _as_json(first) == _as_json(given)


def _as_json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _check_start(job_id: str, intent: JobStart) -> None:
    check_text("job_id", job_id, MAX_ID)
    check_tag("workflow_id", intent.workflow_id)
    check_tag("parent_job_id", intent.parent_job_id)
    if intent.parameters is not None:
        check_metadata(intent.parameters, "parameters")


def _check_end(job_id: str, intent: JobEnd) -> None:
    check_text("job_id", job_id, MAX_ID)
    if intent.status not in ENDINGS:
        raise FieldError("status", f"must be one of {', '.join(ENDINGS)}")
    check_error(intent.error)
