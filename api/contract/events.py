"""The parameters of event feeds, and the encoding of server-sent events."""

from collections.abc import Sequence
from typing import Final

import orjson

from asset_ledger.api.contract.event_out import event_out
from asset_ledger.api.contract.parameters import (
    ATTEMPT,
    MAX_POSITION,
    Parameter,
    ParameterValues,
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

BEFORE: Final = Parameter("before", "Only events before this position.", whole(1, MAX_POSITION))
ORDER: Final = Parameter(
    "order", "`desc`: the newest first.", one_of(("asc", "desc")), default="asc"
)

LIMIT: Final = Parameter(
    "limit", "The largest number of events; above 1,000 is read as 1,000.", page_size, default=100
)

EVENT_FILTERS: Final[Sequence[Parameter]] = (
    Parameter("topic", "Of this kind.", one_of(TOPICS), repeats=True),
    Parameter("job_id", "Of this job."),
    ATTEMPT,
    Parameter("node_id", "Of this node."),
    Parameter("workflow_id", "Of this workflow."),
    Parameter("asset_id", "Of this asset.", parse_asset_id),
    Parameter("all", "Events of all users, not of this one.", one_of(("true", "false"))),
)
"""An event must match every filter, and one of the values of a repeated filter."""


def selects_all_users(values: ParameterValues) -> bool:
    """Return whether a query selects the events of all users, which needs the scope admin."""
    return values.get("all") == "true"


def event_filter(values: ParameterValues, user_id: str) -> EventFilter:
    """Return the filter of a query."""
    return EventFilter(
        user_id=None if selects_all_users(values) else user_id,
        topics=frozenset(values.get("topic", ())),
        job_id=values.get("job_id"),
        attempt=values.get("attempt"),
        node_id=values.get("node_id"),
        workflow_id=values.get("workflow_id"),
        asset_id=values.get("asset_id"),
    )


def read_last_event_id(text: str) -> int:
    """Return the position in a Last-Event-ID header. Raises ParameterError."""
    try:
        return whole(0, MAX_POSITION)(text)
    except ValueError as error:
        raise refuse("Last-Event-ID", str(error)) from error


def event_text(recorded: Recorded) -> bytes:
    """Encode an event as a server-sent event: `id` is its position, `event` its topic."""
    data = orjson.dumps(event_out(recorded))  # no line breaks, which would end the field
    topic = recorded.event.TOPIC.encode()
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (recorded.position, topic, data)
