"""Events as they are recorded: which are asked for, and how a stream of them is written."""

from collections.abc import Sequence
from typing import Final

import orjson

from asset_ledger.api.contract.event_out import event_out
from asset_ledger.api.contract.parameters import (
    MAX_POSITION,
    Asked,
    Parameter,
    one_of,
    page_size,
    refuse,
    whole,
)
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.ids import parse_asset_id
from asset_ledger.ledger.log.codec import EVENTS
from asset_ledger.ledger.reading.event_filter import EventFilter

TOPICS: Final = tuple(sorted(kind.TOPIC for kind in EVENTS))

AFTER: Final = Parameter("after", "Only events after this position.", whole(0, MAX_POSITION))

LIMIT: Final = Parameter(
    "limit", "How many events at most; above 1,000 is read as 1,000.", page_size, default=100
)

EVENT_FILTERS: Final[Sequence[Parameter]] = (
    Parameter("topic", "Of this kind.", one_of(TOPICS), repeats=True),
    Parameter("job_id", "Of this job."),
    Parameter("node_id", "Of this node."),
    Parameter("workflow_id", "Of this workflow."),
    Parameter("asset_id", "Of this asset.", parse_asset_id),
    Parameter("all", "Everyone's, not the caller's own.", one_of(("true", "false"))),
)
"""Filters narrow together; a repeated one takes any of its values."""


def asks_for_all(asked: Asked) -> bool:
    """Whether everyone's events are asked for: that takes a scope of its own."""
    return asked.get("all") == "true"


def event_filter(asked: Asked, user_id: str) -> EventFilter:
    """The events that a query asks for."""
    return EventFilter(
        user_id=None if asks_for_all(asked) else user_id,
        topics=frozenset(asked.get("topic", ())),
        job_id=asked.get("job_id"),
        node_id=asked.get("node_id"),
        workflow_id=asked.get("workflow_id"),
        asset_id=asked.get("asset_id"),
    )


def read_last_event_id(text: str) -> int:
    """The position that a client says it has seen. Raises ParameterError."""
    try:
        return whole(0, MAX_POSITION)(text)
    except ValueError as error:
        raise refuse("Last-Event-ID", str(error)) from error


def event_text(recorded: Recorded) -> bytes:
    """An event as a server-sent event: the position is its id, the topic its kind."""
    data = orjson.dumps(event_out(recorded))  # JSON has no line breaks, which would end the field
    topic = recorded.event.TOPIC.encode()
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (recorded.position, topic, data)
