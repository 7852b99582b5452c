"""The frame around a job's work: that it started, with what, and how it ended.

A job needs no frame: any fact may name a `job_id`. Two users may both have a `job_456`, so a
job's stream is made of both names.
"""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Literal

from ledger.fact import Json, Recorded, TaggedFact, moment, private_of

JobStatus = Literal["unframed", "running", "completed", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(TaggedFact):
    """Somebody said that a job begins. Private: parameters."""

    TOPIC: ClassVar[str] = "job.started"
    parent_job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished(TaggedFact):
    """Somebody said that a job is over. Private: error.

    `facts` counts the job's facts, this one included: a history that lacks one shows it.
    """

    TOPIC: ClassVar[str] = "job.finished"
    COUNTS_ITS_JOB: ClassVar[bool] = True
    status: JobStatus
    facts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the facts of a job's own stream add up to."""

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
    """The state after one more fact of the job's stream. Facts of other kinds change nothing."""
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
