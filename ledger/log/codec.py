"""Events to stored bytes and back. What is stored is what is hashed, so the bytes are canonical:
sorted keys, no spaces, and no field that holds its default.

It is eventsourcing's mapper with its own registry, so that a topic in a file never names code to
import, and with its upcasts: `class_version` and `upcast_v<n>_v<n+1>(state)` on the event's class.
"""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, get_args, get_origin, get_type_hints

import orjson
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, Notification, StoredEvent, Transcoder

from asset_ledger.ledger.domain.asset import (
    AssetContentReplaced,
    AssetCreated,
    AssetDeleted,
    AssetDescribed,
    AssetRestored,
)
from asset_ledger.ledger.domain.event import Event, Recorded, iso, parse_time
from asset_ledger.ledger.domain.job import JobFinished, JobStarted
from asset_ledger.ledger.domain.ledger import KeyRotated, LedgerOpened, ProjectionSkipped
from asset_ledger.ledger.errors import PoisonCause, PoisonEventError, TooLargeError

MAX_EVENT: Final = 60_000
"""How many bytes one event may encode to."""

EVENTS: Final[tuple[type[Event], ...]] = (
    LedgerOpened,
    AssetCreated,
    AssetDescribed,
    AssetContentReplaced,
    AssetDeleted,
    AssetRestored,
    JobStarted,
    JobFinished,
    ProjectionSkipped,
    KeyRotated,
)

_STREAM_FIELDS: Final = ("originator_id", "originator_version")


class CanonicalJson(Transcoder):
    """Sorted keys, UTF-8, times as 27 characters."""

    def encode(self, obj: Any) -> bytes:
        return orjson.dumps(
            obj, default=_encode_time, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
        )

    def decode(self, data: bytes) -> Any:
        return orjson.loads(data)


def _encode_time(value: object) -> str:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"an event cannot hold a {type(value).__name__}")


Setter = Callable[[Any, object], None]


class Shape(NamedTuple):
    """How one class of events is stored: its fields and defaults, and how types are restored."""

    fields: tuple[tuple[str, object], ...]
    restore: Mapping[str, Callable[[Any], object]]
    names: frozenset[str]
    required: frozenset[str]


def shape_of(kind: type[Event]) -> Shape:
    """The shape of a class of events, read off its dataclass fields."""
    hints = get_type_hints(kind)
    stored = [f for f in dataclasses.fields(kind) if f.name not in _STREAM_FIELDS]
    fields = tuple((f.name, _default(f)) for f in stored)
    return Shape(
        fields=fields,
        restore={f.name: how for f in stored if (how := _restorer(hints[f.name]))},
        names=frozenset(name for name, _ in fields),
        required=frozenset(name for name, default in fields if default is dataclasses.MISSING),
    )


def _default(field: "dataclasses.Field[Any]") -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _restorer(hint: object) -> Callable[[Any], object] | None:
    if datetime in (hint, *get_args(hint)):
        return _restored_time
    return tuple if get_origin(hint) is tuple else None


@lru_cache(maxsize=256)  # the events of a group share their moment
def _restored_time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


class Plan(NamedTuple):
    """How an event is made of a state that has just these names, in their order.

    `given` sets their values, `absent` the defaults of all other fields.
    """

    restore: tuple[tuple[str, Callable[[Any], object]], ...]
    given: tuple[Setter, ...]
    absent: tuple[tuple[Setter, object], ...]


@lru_cache(maxsize=256)  # most events of a log have one of a few sets of names
def _plan_of(kind: Any, names: tuple[str, ...]) -> Plan:
    """What makes events of this class. Raises TypeError for names of another shape."""
    shape = shape_of(kind)
    if not (shape.required <= set(names) <= shape.names):
        raise TypeError(f"its fields are not those of {kind.TOPIC}")
    return Plan(
        restore=tuple((name, shape.restore[name]) for name in names if name in shape.restore),
        given=tuple(getattr(kind, name).__set__ for name in names),
        absent=tuple(
            (getattr(kind, name).__set__, default)
            for name, default in shape.fields
            if name not in names
        ),
    )


_SET_STREAM, _SET_VERSION = (getattr(Event, name).__set__ for name in _STREAM_FIELDS)


def _made(kind: Any, state: dict[str, Any]) -> Event:
    """An event with this state. Raises TypeError for another shape's.

    It is made slot by slot: the `__init__` of a frozen dataclass takes more than twice as long.
    """
    plan = _plan_of(kind, tuple(state))
    for name, restore in plan.restore:
        state[name] = restore(state[name])
    event: Event = object.__new__(kind)
    for set_slot, value in zip(plan.given, state.values(), strict=True):
        set_slot(event, value)
    for set_slot, default in plan.absent:
        set_slot(event, default)
    return event


class _NewerEventError(ValueError):
    """A later release wrote it."""

    def __init__(self, message: str, cause: PoisonCause) -> None:
        super().__init__(message)
        self.cause: PoisonCause = cause


@cache  # looking up type hints takes longer than opening a log
def _shapes_of(kinds: tuple[type[Event], ...]) -> Mapping[str, Shape]:
    return {kind.TOPIC: shape_of(kind) for kind in kinds}


class EventMapper(Mapper[str]):
    """eventsourcing's mapper over our registry of events."""

    def __init__(self, kinds: tuple[type[Event], ...] = EVENTS) -> None:
        super().__init__(transcoder=CanonicalJson())
        self.kinds = {kind.TOPIC: kind for kind in kinds}
        self.shapes = _shapes_of(kinds)

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """The stored form of an event. Raises TooLargeError above 60,000 bytes."""
        kind: Any = type(domain_event)
        state = {
            name: value
            for name, default in self.shapes[kind.TOPIC].fields
            if (value := getattr(domain_event, name)) != default
        }
        if kind.class_version > 1:
            state["class_version"] = kind.class_version
        encoded = self.transcoder.encode(state)
        if len(encoded) > MAX_EVENT:
            raise TooLargeError(f"the event is {len(encoded):,} bytes; the limit is {MAX_EVENT:,}")
        return StoredEvent(
            domain_event.originator_id, domain_event.originator_version, kind.TOPIC, encoded
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        """The event, upcast to the shape of today. Raises ValueError or TypeError for poison."""
        kind = self.kinds.get(stored_event.topic)
        if kind is None:
            raise _NewerEventError(
                f"no event has the topic {stored_event.topic!r}", "unknown topic"
            )
        state = self.transcoder.decode(stored_event.state)
        self._upcast(kind, state)
        event = _made(kind, state)
        _SET_STREAM(event, str(stored_event.originator_id))
        _SET_VERSION(event, stored_event.originator_version)
        return event

    def _upcast(self, kind: type[Event], state: dict[str, Any]) -> None:
        version = state.pop("class_version", 1)
        if version > kind.class_version:
            message = f"version {version} of {kind.TOPIC} is newer than this release"
            raise _NewerEventError(message, "later version")
        for older in range(version, kind.class_version):
            getattr(kind, f"upcast_v{older}_v{older + 1}")(state)


class Codec:
    """The two directions, as the rest of the house calls them."""

    def __init__(self, mapper: EventMapper | None = None) -> None:
        self._mapper = mapper or EventMapper()

    def encode(self, event: Event) -> StoredEvent:
        """The bytes to store. Raises TooLargeError above 60,000."""
        return self._mapper.to_stored_event(event)

    def decode(self, notification: Notification) -> Recorded:
        """The event in a stored row. Raises PoisonEventError if this release cannot read it."""
        try:
            event: Any = self._mapper.to_domain_event(notification)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            cause = error.cause if isinstance(error, _NewerEventError) else "broken bytes"
            raise PoisonEventError(notification.id, str(error), cause) from error
        return Recorded(notification.id, event)
