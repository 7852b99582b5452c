"""The runs of a job's nodes: events, state and decisions.

Each run has a stream of its own, so that nodes that run at the same time never conflict. The event
of the end holds all that the event of the start has: either one alone gives the run's row.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from asset_ledger.ledger.domain.checks import (
    MAX_ID,
    check_attempt,
    check_error,
    check_tag,
    check_text,
)
from asset_ledger.ledger.domain.event import (
    Event,
    Origin,
    Recorded,
    TaggedEvent,
    moment,
    private_of,
)
from asset_ledger.ledger.domain.job import ENDINGS, Ending
from asset_ledger.ledger.errors import FieldError, JobStateError

FIRST_RUN: Final = "1"
"""The run of a node for which the client names none."""

MAX_SECONDS: Final = 100_000_000
"""About three years. Sums of microseconds stay below 64 bits in every transaction."""

NodeStatus = Literal["running"] | Ending


class RunName(NamedTuple):
    """One run of a node in one attempt of a job."""

    user_id: str
    job_id: str
    attempt: int
    node_id: str
    run: str

    @property
    def stream(self) -> str:
        """The stream of the run: 32 lower-case hex digits."""
        return uuid5(NAMESPACE_URL, "asset-ledger:node:" + "\0".join(map(str, self))).hex


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvent(TaggedEvent):
    """An event of a run. `made_at`: the time of the event that an administrator claimed."""

    run: str = FIRST_RUN
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted(NodeEvent):
    """A client reported that a node started to run."""

    TOPIC: ClassVar[str] = "node.started"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFinished(NodeEvent):
    """A client reported the end of a run. `private`: error.

    `seconds`: the duration that the client measured. `started_at`: the start, if it was recorded.
    """

    TOPIC: ClassVar[str] = "node.finished"
    status: Ending
    seconds: float | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun:
    """The state of a run: the fold of its stream. `micros`: its duration in microseconds."""

    name: RunName
    version: int
    first_position: int
    position: int
    workflow_id: str | None
    status: NodeStatus = "running"
    error: str | None = None
    micros: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


def evolve(run: NodeRun | None, recorded: Recorded) -> NodeRun | None:
    """Return the run after the next event of its stream. Ignore events of other kinds.

    Without the run before, only `first_position` may be another.
    """
    position, event = recorded
    if not isinstance(event, NodeEvent) or event.job_id is None or event.node_id is None:
        return run
    name = RunName(event.user_id, event.job_id, event.attempt or 1, event.node_id, event.run)
    changes = _finished(event) if isinstance(event, NodeFinished) else {"started_at": _when(event)}
    return NodeRun(
        name=name,
        version=event.originator_version,
        first_position=run.first_position if run else position,
        position=position,
        workflow_id=event.workflow_id,
        **changes,
    )


def _finished(event: NodeFinished) -> dict[str, Any]:
    return {
        "status": event.status,
        "error": private_of(event).get("error"),
        "micros": _micros(event),
        "started_at": event.started_at,
        "finished_at": _when(event),
    }


def _when(event: NodeEvent) -> datetime:
    return event.made_at or moment(event)


def _micros(event: NodeFinished) -> int | None:
    """Return the measured duration, else the time since the start; None without either."""
    seconds = event.seconds
    if seconds is None:
        if event.started_at is None:
            return None
        seconds = (_when(event) - event.started_at).total_seconds()
    return to_micros(seconds)


def to_micros(seconds: float) -> int:
    """Return whole microseconds, from 0 to those of `MAX_SECONDS`."""
    return round(min(max(seconds, 0), MAX_SECONDS) * 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStart:
    """The intent to start a run. None means: not given."""

    node_id: str
    run: str | None = None
    attempt: int | None = None
    workflow_id: str | None = None
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEnd(NodeStart):
    """The intent to finish a run."""

    status: Ending
    error: str | None = None
    seconds: float | None = None


def start(
    run: NodeRun | None,
    intent: NodeStart,
    *,
    name: RunName,
    workflow_id: str | None,
    origin: Origin,
) -> list[Event]:
    """Start a run. Repeating the start with the same values records nothing.

    `workflow_id`: that of the job, for a start that names none. Raises JobStateError if the run
    was started with other values, or ended and was not named; FieldError for an invalid value.
    """
    _check_start(name, intent)
    if run is None:
        return [NodeStarted(**_next_event(run, intent, name, workflow_id, origin))]
    if run.started_at is None:
        raise _taken(name, "finished before, without a start")
    if intent.made_at not in (None, run.started_at):
        raise _taken(name, "started before, at another time")
    if intent.run is None and run.status != "running":  # else a loop would be recorded as one run
        raise _taken(name, f"finished before, as {run.status}")
    return []


def finish(
    run: NodeRun | None, intent: NodeEnd, *, name: RunName, workflow_id: str | None, origin: Origin
) -> list[Event]:
    """Finish a run, started or not. Repeating the end with the same values records nothing.

    Raises JobStateError if the run finished with other values, FieldError for an invalid value.
    """
    _check_end(name, intent, run)
    if run is None or run.finished_at is None:
        return [
            NodeFinished(
                **_next_event(run, intent, name, workflow_id, origin),
                status=intent.status,
                seconds=intent.seconds,
                started_at=run.started_at if run else None,
                private={} if intent.error is None else {"error": intent.error},
            )
        ]
    if not _finished_with(run, intent):
        raise _taken(name, f"finished before, as {run.status}")
    return []


def _finished_with(run: NodeRun, intent: NodeEnd) -> bool:
    return (
        (run.status, run.error) == (intent.status, intent.error)
        and (intent.seconds is None or to_micros(intent.seconds) == run.micros)
        and intent.made_at in (None, run.finished_at)
    )


def _next_event(
    run: NodeRun | None, intent: NodeStart, name: RunName, workflow_id: str | None, origin: Origin
) -> dict[str, Any]:
    """Return the common fields of the next event in a run's stream."""
    return {
        "originator_id": name.stream,
        "originator_version": run.version + 1 if run else 1,
        "by": origin.by,
        "user_id": name.user_id,
        "workflow_id": intent.workflow_id or (run.workflow_id if run else workflow_id),
        "node_id": name.node_id,
        "job_id": name.job_id,
        "attempt": name.attempt,
        "run": name.run,
        "made_at": intent.made_at,
        "command": origin.command,
        "traceparent": origin.traceparent,
    }


def _taken(name: RunName, what: str) -> JobStateError:
    return JobStateError(f"run {name.run} of node {name.node_id} {what}: name another `run`")


def _check_start(name: RunName, intent: NodeStart) -> None:
    check_text("job_id", name.job_id, MAX_ID)
    check_text("node_id", intent.node_id, MAX_ID)
    check_tag("run", intent.run)
    check_attempt(intent.attempt, name.job_id)
    check_tag("workflow_id", intent.workflow_id)


def _check_end(name: RunName, intent: NodeEnd, run: NodeRun | None) -> None:
    _check_start(name, intent)
    if intent.status not in ENDINGS:
        raise FieldError("status", f"must be one of {', '.join(ENDINGS)}")
    check_error(intent.error)
    if intent.seconds is not None and not 0 <= intent.seconds <= MAX_SECONDS:
        raise FieldError("seconds", f"must be a number from 0 to {MAX_SECONDS:,}")
    began = run.started_at if run else None
    if intent.made_at is not None and began is not None and intent.made_at < began:
        raise FieldError("made_at", "is before the start of the run")
