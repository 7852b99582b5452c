"""Encode events to stored bytes, and decode them. The bytes are hashed, so they are canonical:
sorted keys, no spaces, no field that holds its default.

A mapper of eventsourcing with a registry of its own, so that no topic in a file imports code, and
with its upcasts: `class_version` and `upcast_v<n>_v<n+1>(state)` on the event's class.
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
from asset_ledger.ledger.domain.ledger import (
    ContentCollected,
    DamageFound,
    DamageRepaired,
    KeyRotated,
    LedgerForked,
    LedgerOpened,
    ProjectionSkipped,
    TokenCreated,
    TokenRevoked,
)
from asset_ledger.ledger.domain.node import NodeFinished, NodeStarted
from asset_ledger.ledger.errors import PoisonCause, PoisonEventError, TooLargeError

MAX_EVENT: Final = 60_000
"""The maximal size of an encoded event, in bytes."""

EVENTS: Final[tuple[type[Event], ...]] = (
    LedgerOpened,
    AssetCreated,
    AssetDescribed,
    AssetContentReplaced,
    AssetDeleted,
    AssetRestored,
    JobStarted,
    JobFinished,
    NodeStarted,
    NodeFinished,
    ProjectionSkipped,
    KeyRotated,
    TokenCreated,
    TokenRevoked,
    LedgerForked,
    ContentCollected,
    DamageFound,
    DamageRepaired,
)

_STREAM_FIELDS: Final = ("originator_id", "originator_version")


class CanonicalJson(Transcoder):
    """JSON with sorted keys, in UTF-8, with times in 27 characters."""

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
    """How a class of events is stored: its fields, their defaults and their decoders."""

    fields: tuple[tuple[str, object], ...]
    decoders: Mapping[str, Callable[[Any], object]]
    names: frozenset[str]
    required: frozenset[str]


def shape_of(kind: type[Event]) -> Shape:
    """Return the shape of a class of events, from its dataclass fields."""
    hints = get_type_hints(kind)
    stored = [f for f in dataclasses.fields(kind) if f.name not in _STREAM_FIELDS]
    fields = tuple((f.name, _default(f)) for f in stored)
    return Shape(
        fields=fields,
        decoders={f.name: decode for f in stored if (decode := _decoder(hints[f.name]))},
        names=frozenset(name for name, _ in fields),
        required=frozenset(name for name, default in fields if default is dataclasses.MISSING),
    )


def _default(field: "dataclasses.Field[Any]") -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _decoder(hint: object) -> Callable[[Any], object] | None:
    if datetime in (hint, *get_args(hint)):
        return _decode_time
    return tuple if get_origin(hint) is tuple else None


@lru_cache(maxsize=256)  # the events of a group share their time
def _decode_time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


class Plan(NamedTuple):
    """How to make an event from a state with certain fields, in their order.

    `given` sets the fields of the state, `absent` sets all others to their defaults.
    """

    decoders: tuple[tuple[str, Callable[[Any], object]], ...]
    given: tuple[Setter, ...]
    absent: tuple[tuple[Setter, object], ...]


@lru_cache(maxsize=256)  # the events of a log have few different sets of fields
def _plan_of(kind: Any, names: tuple[str, ...]) -> Plan:
    """Return the plan for a class and the names of a state. Raise TypeError if they do not fit."""
    shape = shape_of(kind)
    if not (shape.required <= set(names) <= shape.names):
        raise TypeError(f"its fields are not those of the topic {kind.TOPIC}")
    return Plan(
        decoders=tuple((name, shape.decoders[name]) for name in names if name in shape.decoders),
        given=tuple(getattr(kind, name).__set__ for name in names),
        absent=tuple(
            (getattr(kind, name).__set__, default)
            for name, default in shape.fields
            if name not in names
        ),
    )


_SET_STREAM, _SET_VERSION = (getattr(Event, name).__set__ for name in _STREAM_FIELDS)


def _make_event(kind: Any, state: dict[str, Any]) -> Event:
    """Make an event from a state. Raise TypeError if its fields are not those of the class.

    Set slot by slot: the `__init__` of a frozen dataclass takes more than twice as long.
    """
    plan = _plan_of(kind, tuple(state))
    for name, decode in plan.decoders:
        state[name] = decode(state[name])
    event: Event = object.__new__(kind)
    for set_slot, value in zip(plan.given, state.values(), strict=True):
        set_slot(event, value)
    for set_slot, default in plan.absent:
        set_slot(event, default)
    return event


class _NewerEventError(ValueError):
    """A later release wrote the event."""

    def __init__(self, message: str, cause: PoisonCause) -> None:
        super().__init__(message)
        self.cause: PoisonCause = cause


@cache  # type hints take longer than opening a log
def _shapes_of(kinds: tuple[type[Event], ...]) -> Mapping[str, Shape]:
    return {kind.TOPIC: shape_of(kind) for kind in kinds}


class EventMapper(Mapper[str]):
    """eventsourcing's mapper, limited to the given classes of events."""

    def __init__(self, kinds: tuple[type[Event], ...] = EVENTS) -> None:
        super().__init__(transcoder=CanonicalJson())
        self.kinds = {kind.TOPIC: kind for kind in kinds}
        self.shapes = _shapes_of(kinds)

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Encode an event. Raise TooLargeError above 60,000 bytes."""
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
        """Decode and upcast a stored event. Raise ValueError or TypeError if that fails."""
        kind = self.kinds.get(stored_event.topic)
        if kind is None:
            message = f"this release has no topic {stored_event.topic!r}; use a later release"
            raise _NewerEventError(message, "unknown topic")
        state = self.transcoder.decode(stored_event.state)
        self._upcast(kind, state)
        event = _make_event(kind, state)
        _SET_STREAM(event, str(stored_event.originator_id))
        _SET_VERSION(event, stored_event.originator_version)
        return event

    def _upcast(self, kind: type[Event], state: dict[str, Any]) -> None:
        version = state.pop("class_version", 1)
        if version > kind.class_version:
            message = f"this release has no version {version} of {kind.TOPIC}; use a later release"
            raise _NewerEventError(message, "later version")
        for older in range(version, kind.class_version):
            getattr(kind, f"upcast_v{older}_v{older + 1}")(state)


class Codec:
    """Encodes events for the log, and decodes stored events to `Recorded`."""

    def __init__(self, mapper: EventMapper | None = None) -> None:
        self._mapper = mapper or EventMapper()

    def encode(self, event: Event) -> StoredEvent:
        """Encode an event. Raise TooLargeError above 60,000 bytes."""
        return self._mapper.to_stored_event(event)

    def decode(self, notification: Notification) -> Recorded:
        """Decode a stored event. Raise PoisonEventError if this release cannot read it."""
        try:
            event: Any = self._mapper.to_domain_event(notification)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            cause = error.cause if isinstance(error, _NewerEventError) else "broken bytes"
            raise PoisonEventError(notification.id, str(error), cause) from error
        return Recorded(notification.id, event)
