"""The base classes of events, and their time format. Events are frozen and flat.

A decision makes an event without `recorded_at` and without its `JobStamp`. The log stamps both when
it gives the event its position.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import Any, ClassVar, Final, Literal, NamedTuple

MAX_CLOCK_LAG: Final = timedelta(minutes=1)
"""A machine's clock is wrong if it is further behind the time of the last event."""

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""A JSON value."""


class Unset(Enum):
    """The type of UNSET: a field that an event does not mention. JSON null is None."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
UnsetType = Literal[Unset.UNSET]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened: one version of one stream.

    `originator_id` is the stream (32 hex digits), `originator_version` counts 1, 2, 3 ... in it;
    the names are those of the columns of eventsourcing's table. `by` is the acting user.
    `recorded_at` never decreases; `clock` is the time of the machine, stored only if it was more
    than `MAX_CLOCK_LAG` behind `recorded_at`.
    """

    TOPIC: ClassVar[str]
    """The stored name of the class. It never changes, even if the class moves."""
    class_version: ClassVar[int] = 1
    """Increase it with every change of fields, and add `upcast_v<n>_v<n+1>(state)`."""

    originator_id: str
    originator_version: int
    by: str
    recorded_at: datetime | None = None
    clock: datetime | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the class and the values: the default of dataclasses takes three times as long."""
        kind = type(self)
        return _unpickled, (kind, _access(kind).values(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedEvent(Event):
    """An event of an asset or a job, with its owner (`user_id`) and the ids of its origin."""

    COUNTS_ITS_JOB: ClassVar[bool] = False
    """Whether the log also stamps `events`: the number of the job's events, this one included."""
    MAY_BE_LATE: ClassVar[bool] = False
    """Whether the log marks this event as `late` if the attempt that it names has ended."""

    user_id: str
    workflow_id: str | None = None
    node_id: str | None = None
    job_id: str | None = None
    job_seq: int | None = None
    attempt: int | None = None
    late: bool = False
    command: str | None = None
    traceparent: str | None = None
    private: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of an event: acting user, owner, command hash and W3C `traceparent`."""

    by: str
    user_id: str
    command: str | None = None
    traceparent: str | None = None


class _Access(NamedTuple):
    """Reads all fields of an event at once, and sets each one of a new event."""

    values: Callable[[Event], Any]
    setters: Sequence[Callable[[Event, Any], None]]


_ACCESS: Final[dict[type[Event], _Access]] = {}


def _access(kind: type[Event]) -> _Access:
    if kind not in _ACCESS:
        names = [field.name for field in fields(kind)]
        setters = [getattr(kind, name).__set__ for name in names]
        _ACCESS[kind] = _Access(attrgetter(*names), setters)
    return _ACCESS[kind]


def _unpickled(kind: type[Event], values: Sequence[Any]) -> Event:
    event = kind.__new__(kind)
    for set_field, value in zip(_access(kind).setters, values, strict=True):
        set_field(event, value)
    return event


class Recorded(NamedTuple):
    """An event and its position in the log: 1, 2, 3 ... without gaps."""

    position: int
    event: Event


def stamp(event: Event, recorded_at: datetime, clock: datetime | None) -> None:
    """Set the times of an event that the log is about to store."""
    object.__setattr__(event, "recorded_at", recorded_at)
    object.__setattr__(event, "clock", clock)


class JobStamp(NamedTuple):
    """What the log sets on an event of a job: its number in the job, and its attempt.

    `late`: the attempt had ended before.
    """

    job_seq: int
    attempt: int
    late: bool


def stamp_job(event: TaggedEvent, job: JobStamp) -> None:
    """Set the place within its job of an event that the log is about to store."""
    object.__setattr__(event, "job_seq", job.job_seq)
    object.__setattr__(event, "attempt", job.attempt)
    object.__setattr__(event, "late", job.late)
    if event.COUNTS_ITS_JOB:
        object.__setattr__(event, "events", job.job_seq)


def job_stamp(event: Event) -> JobStamp | None:
    """Return the place of a stored event within its job; None without a job."""
    if not isinstance(event, TaggedEvent) or event.job_seq is None or event.attempt is None:
        return None
    return JobStamp(event.job_seq, event.attempt, event.late)


def private_of(event: TaggedEvent) -> Mapping[str, Json]:
    """Return the personal fields of an event. Every reader calls this, for a later encryption."""
    return event.private


def moment(event: Event) -> datetime:
    """Return when the event was recorded. Raise ValueError if it is not recorded yet."""
    if event.recorded_at is None:
        raise ValueError("this event is not recorded yet")
    return event.recorded_at


@lru_cache(maxsize=256)  # the events of a group share their time
def iso(when: datetime) -> str:
    """Format UTC in 27 characters (`2026-01-01T00:00:00.000000Z`): text order is time order."""
    utc = when if when.tzinfo is UTC else when.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:26] + "Z"


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time into UTC. Raise ValueError for other text, or without a time zone."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"must be a time such as 2026-01-31T12:00:00Z, not {text!r}") from error
    if when.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: add Z or an offset such as +01:00")
    return when if when.tzinfo is UTC else when.astimezone(UTC)
