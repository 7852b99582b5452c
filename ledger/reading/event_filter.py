"""Which events somebody wants to hear of, and how they are found after a position."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import orjson
from eventsourcing.persistence import Notification

from asset_ledger.ledger.domain.event import Event, Recorded
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import LogReader, Tag, TagKind

PAGE: Final = 1_000
"""How many events are read at a time."""

WALK: Final = 20_000
"""How many events one request looks at for those that are wanted."""

_KINDS: Final[Sequence[TagKind]] = ("job", "node", "workflow")
"""The narrowest first."""


@dataclass(frozen=True)
class EventFilter:
    """A choice of events. What is None or empty does not narrow it; `user_id` None: everybody's."""

    user_id: str | None
    topics: frozenset[str] = frozenset()
    job_id: str | None = None
    node_id: str | None = None
    workflow_id: str | None = None
    asset_id: AssetId | None = None

    def holds(self, event: Event) -> bool:
        """Whether this event is wanted."""
        if self.topics and event.TOPIC not in self.topics:
            return False
        if self.asset_id is not None and event.originator_id != self.asset_id:
            return False
        return all(getattr(event, name, None) == value for name, value in self._named)

    @cached_property
    def _named(self) -> Sequence[tuple[str, str]]:
        named = (
            ("user_id", self.user_id),
            ("job_id", self.job_id),
            ("node_id", self.node_id),
            ("workflow_id", self.workflow_id),
        )
        return [(name, value) for name, value in named if value is not None]

    @cached_property
    def tag(self) -> Tag | None:
        """The narrowest tag that all of them have: the log reads by it."""
        for kind in _KINDS:
            value = getattr(self, f"{kind}_id")
            if self.user_id is not None and value is not None:
                return Tag(self.user_id, kind, value)
        return None

    @cached_property
    def mark(self) -> bytes:
        """Bytes that a stored event of this user has in it: most others need not be decoded."""
        return b"" if self.user_id is None else orjson.dumps({"user_id": self.user_id})[1:-1]


class EventBatch(NamedTuple):
    """Some events, and the position to go on from: others may have been looked at after them."""

    events: list[Recorded]
    next: int


def events_after(
    log: LogReader, codec: Codec, wanted: EventFilter, after: int, limit: int
) -> EventBatch:
    """The next events that are wanted, found among the next 20,000 of the log, or of the tag."""
    events: list[Recorded] = []
    head = log.head().position
    for _ in range(WALK // PAGE):
        stored = _read(log, wanted, after, head)
        for one in stored:
            after = one.id
            if wanted.mark in one.state and wanted.holds((event := codec.decode(one)).event):
                events.append(event)
            if len(events) == limit:
                return EventBatch(events, after)
        if len(stored) < PAGE:
            return EventBatch(events, max(after, head))
    return EventBatch(events, after)


def _read(log: LogReader, wanted: EventFilter, after: int, upto: int) -> Sequence[Notification]:
    if wanted.asset_id is None:
        return log.read(after, PAGE, tag=wanted.tag, upto=upto)
    stream = log.stream(wanted.asset_id, upto=upto)
    return [one for one in stream if one.id > after][:PAGE]
