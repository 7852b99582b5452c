"""What every fact carries: its stream, its envelope, its moment. Facts are frozen and flat.

A fact is decided without `recorded_at` and `job_seq`; only the log knows those, and it stamps
them when the fact gets its position. What the stored bytes lack can never be added, so the
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
    """The type of UNSET: the fact says nothing of this field, which is not: it says null."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
UnsetType = Literal[Unset.UNSET]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
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
class TaggedFact(Fact):
    """A fact about an asset or a job: it belongs to somebody and carries the tags of its origin."""

    COUNTS_ITS_JOB: ClassVar[bool] = False
    """Whether the log also stamps `facts`: how many facts the job has, this one included."""

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


_NAMES: Final[dict[type[Fact], tuple[str, ...]]] = {}


def _names(kind: type[Fact]) -> tuple[str, ...]:
    if kind not in _NAMES:
        _NAMES[kind] = tuple(field.name for field in fields(kind))
    return _NAMES[kind]


def _made_again(kind: type[Fact], values: Sequence[Any]) -> Fact:
    fact = kind.__new__(kind)
    for name, value in zip(_names(kind), values, strict=True):
        object.__setattr__(fact, name, value)
    return fact


class Recorded(NamedTuple):
    """A fact and its place in the one order of the log: 1, 2, 3 ... without gaps."""

    position: int
    event: Fact


def stamp(fact: Fact, recorded_at: datetime) -> None:
    """Set the moment on a fact that the log is about to store."""
    object.__setattr__(fact, "recorded_at", recorded_at)


def stamp_job_seq(fact: TaggedFact, job_seq: int) -> None:
    """Number the fact among its job's, on a fact that the log is about to store."""
    object.__setattr__(fact, "job_seq", job_seq)
    if fact.COUNTS_ITS_JOB:
        object.__setattr__(fact, "facts", job_seq)


def private_of(fact: TaggedFact) -> Mapping[str, Json]:
    """The personal fields of a fact: the one place to open them, once they are encrypted."""
    return fact.private


def moment(fact: Fact) -> datetime:
    """When the fact was recorded; ValueError if it was not yet."""
    if fact.recorded_at is None:
        raise ValueError("this fact was not recorded yet")
    return fact.recorded_at


@lru_cache(maxsize=256)  # the facts of a group share their moment
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
