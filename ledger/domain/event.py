"""What every event carries: its stream, its envelope, its moment. Events are frozen and flat.

An event is decided without `recorded_at` and `job_seq`; only the log knows those, and it stamps
them when the event gets its position. What the stored bytes lack can never be added, so the
envelope is whole from the first day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, ClassVar, Final, Literal, NamedTuple

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""What a JSON document may hold."""


class Unset(Enum):
    """The type of UNSET: the event says nothing of this field, which is not: it says null."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
UnsetType = Literal[Unset.UNSET]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, in one stream, at one version of it.

    `originator_id` is the stream (32 hex digits), `originator_version` counts 1, 2, 3 ... in it;
    the names are eventsourcing's, whose tables hold them.
    """

    TOPIC: ClassVar[str]
    """What the log stores to name this class: code may move, a topic may not."""
    class_version: ClassVar[int] = 1
    """Raise it with every change of shape, and add `upcast_v<n>_v<n+1>(state)`."""

    originator_id: str
    originator_version: int
    by: str
    recorded_at: datetime | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its class and values: dataclass' own way takes three times as long."""
        kind = type(self)
        return _made_again, (kind, [getattr(self, name) for name in _names(kind)])


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedEvent(Event):
    """An event about an asset or a job: it belongs to somebody and carries the tags of its origin."""

    COUNTS_ITS_JOB: ClassVar[bool] = False
    """Whether the log also stamps `events`: how many events the job has, this one included."""

    user_id: str
    workflow_id: str | None = None
    node_id: str | None = None
    job_id: str | None = None
    job_seq: int | None = None
    command: str | None = None
    traceparent: str | None = None
    private: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asks: the actor, the owner, and what came with the request."""

    by: str
    user_id: str
    command: str | None = None
    traceparent: str | None = None


_NAMES: Final[dict[type[Event], tuple[str, ...]]] = {}


def _names(kind: type[Event]) -> tuple[str, ...]:
    if kind not in _NAMES:
        _NAMES[kind] = tuple(field.name for field in fields(kind))
    return _NAMES[kind]


def _made_again(kind: type[Event], values: Sequence[Any]) -> Event:
    event = kind.__new__(kind)
    for name, value in zip(_names(kind), values, strict=True):
        object.__setattr__(event, name, value)
    return event


class Recorded(NamedTuple):
    """An event and its place in the one order of the log: 1, 2, 3 ... without gaps."""

    position: int
    event: Event


def stamp(event: Event, recorded_at: datetime) -> None:
    """Set the moment on an event that the log is about to store."""
    object.__setattr__(event, "recorded_at", recorded_at)


def stamp_job_seq(event: TaggedEvent, job_seq: int) -> None:
    """Number the event among its job's, on an event that the log is about to store."""
    object.__setattr__(event, "job_seq", job_seq)
    if event.COUNTS_ITS_JOB:
        object.__setattr__(event, "events", job_seq)


def private_of(event: TaggedEvent) -> Mapping[str, Json]:
    """The personal fields of an event: the one place to open them, once they are encrypted."""
    return event.private


def moment(event: Event) -> datetime:
    """When the event was recorded; ValueError if it was not yet."""
    if event.recorded_at is None:
        raise ValueError("this event was not recorded yet")
    return event.recorded_at


@lru_cache(maxsize=256)  # the events of a group share their moment
def iso(when: datetime) -> str:
    """UTC in 27 characters (`2026-01-01T00:00:00.000000Z`), so that text order is time order."""
    utc = when if when.tzinfo is UTC else when.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:26] + "Z"


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 text names, in UTC; ValueError without a zone."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone: write Z or an offset")
    return when if when.tzinfo is UTC else when.astimezone(UTC)
