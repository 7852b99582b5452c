"""A filter of events, and the search for matching events after a position."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

import orjson
from eventsourcing.persistence import Notification

from asset_ledger.ledger.domain.event import Event, Recorded
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import LogReader, Tag, TagKind

PAGE: Final = 1_000
"""Events to read at a time."""

_BACK: Final = 100
"""Events of one asset to read at a time in reverse, of 40 KiB each at most."""

WALK: Final = 20_000
"""Events that one request searches for matches at most."""

_KINDS: Final[Sequence[TagKind]] = ("job", "node", "workflow")
"""The narrowest first."""


@dataclass(frozen=True)
class EventFilter:
    """A filter of events. A field that is None or empty matches all; `user_id` None: all users."""

    user_id: str | None
    topics: frozenset[str] = frozenset()
    job_id: str | None = None
    node_id: str | None = None
    workflow_id: str | None = None
    asset_id: AssetId | None = None
    attempt: int | None = None

    def holds(self, event: Event) -> bool:
        """Whether this event matches."""
        if self.topics and event.TOPIC not in self.topics:
            return False
        if self.asset_id is not None and event.originator_id != self.asset_id:
            return False
        return all(getattr(event, name, None) == value for name, value in self._named)

    @cached_property
    def _named(self) -> Sequence[tuple[str, str | int]]:
        named = (
            ("user_id", self.user_id),
            ("job_id", self.job_id),
            ("node_id", self.node_id),
            ("workflow_id", self.workflow_id),
            ("attempt", self.attempt),
        )
        return [(name, value) for name, value in named if value is not None]

    @cached_property
    def tag(self) -> Tag | None:
        """The narrowest tag that all matching events have, to read the log by."""
        for kind in _KINDS:
            value = getattr(self, f"{kind}_id")
            if self.user_id is not None and value is not None:
                return Tag(self.user_id, kind, value)
        return None

    @cached_property
    def mark(self) -> bytes:
        """Bytes that every stored event of this user contains, to skip most others undecoded."""
        return b"" if self.user_id is None else orjson.dumps({"user_id": self.user_id})[1:-1]


MAX_BYTES: Final = 2**20
"""Stored bytes of the events of one answer, about: the last event may go beyond."""


class EventBatch(NamedTuple):
    """Matching events, and the position to continue from: later events may be searched too."""

    events: list[Recorded]
    next: int


def events_after(
    log: LogReader,
    codec: Codec,
    event_filter: EventFilter,
    after: int,
    limit: int,
    max_bytes: int = MAX_BYTES,
    *,
    upto: int | None = None,
) -> EventBatch:
    """Return the next matching events, out of the next 20,000 of the log or of the tag.

    The event that brings the sum of their stored bytes to `max_bytes` is the last one.
    """
    head = log.head().position if upto is None else min(upto, log.head().position)
    search = _Search(codec, event_filter, limit, max_bytes)
    while search.searched < WALK:
        page = _read(log, event_filter, after, head, search.max_bytes)
        if not page:
            return EventBatch(search.events, max(after, head))
        for stored in page:
            after = stored.id
            if search.takes_the_last(stored):
                return EventBatch(search.events, after)
    return EventBatch(search.events, after)


def events_before(
    log: LogReader,
    codec: Codec,
    event_filter: EventFilter,
    before: int,
    after: int,
    limit: int,
    max_bytes: int = MAX_BYTES,
) -> EventBatch:
    """Return likewise the last matching events between two positions, the newest first.

    `next` is the position before which a search continues: `after + 1` at the end.
    """
    before = min(before, log.head().position + 1)
    search = _Search(codec, event_filter, limit, max_bytes)
    while search.searched < WALK:
        page = _read_back(log, event_filter, before, after, search.max_bytes)
        if not page:
            return EventBatch(search.events, after + 1)
        for stored in page:
            before = stored.id
            if search.takes_the_last(stored):
                return EventBatch(search.events, before)
    return EventBatch(search.events, before)


@dataclass(slots=True)
class _Search:
    """The matching events that a search has found so far. `max_bytes` are left."""

    codec: Codec
    event_filter: EventFilter
    limit: int
    max_bytes: int
    events: list[Recorded] = field(default_factory=list)
    searched: int = 0

    def takes_the_last(self, stored: Notification) -> bool:
        """Take the event if it matches; return whether it is the last one of the answer."""
        self.searched += 1
        if self.event_filter.mark in stored.state:
            recorded = self.codec.decode(stored)
            if self.event_filter.holds(recorded.event):
                self.events.append(recorded)
                self.max_bytes -= len(stored.state)
        return len(self.events) == self.limit or self.max_bytes <= 0


def _read(
    log: LogReader, event_filter: EventFilter, after: int, upto: int, max_bytes: int
) -> Sequence[Notification]:
    if event_filter.asset_id is None:
        return log.read(after, PAGE, tag=event_filter.tag, upto=upto, max_bytes=max_bytes)
    return stream_after(log, event_filter.asset_id, after, upto, max_bytes)


def _read_back(
    log: LogReader, event_filter: EventFilter, before: int, after: int, max_bytes: int
) -> Sequence[Notification]:
    """Return events between two positions, the last ones, in reverse order."""
    asset_id, upto = event_filter.asset_id, before - 1
    if asset_id is None:
        tag, bounds = event_filter.tag, {"upto": upto, "max_bytes": max_bytes}
        return log.read(after, PAGE, tag=tag, newest_first=True, **bounds)
    version = log.version_at(asset_id, upto)
    first = max(log.version_at(asset_id, after), version - _BACK)
    return log.stream(asset_id, after=first, upto=upto)[::-1]


def stream_after(
    log: LogReader, asset_id: AssetId, after: int, upto: int | None, max_bytes: int
) -> Sequence[Notification]:
    """Return the events of an asset after a position, as many as `max_bytes` allows."""
    version = log.version_at(asset_id, after)
    return log.stream(asset_id, after=version, upto=upto, max_bytes=max_bytes)
