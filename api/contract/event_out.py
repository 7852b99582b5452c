"""Encode events as JSON objects: one shape for histories, feeds, NDJSON and exports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.domain.event import (
    UNSET,
    Event,
    Recorded,
    TaggedEvent,
    iso,
    moment,
    private_of,
)
from asset_ledger.ledger.log.codec import EVENTS

_ENVELOPE: Final = frozenset(field.name for kind in (Event, TaggedEvent) for field in fields(kind))
_ASSET: Final = "asset."


class _Own(NamedTuple):
    """The fields of a class of events besides the envelope, and a function that reads them."""

    names: Sequence[str]
    values: Callable[[Event], Sequence[Any]]


def _own(kind: type[Event]) -> _Own:
    names = [field.name for field in fields(kind) if field.name not in _ENVELOPE]
    return _Own(names, _reader(names))


def _reader(names: Sequence[str]) -> Callable[[Event], Sequence[Any]]:
    """Return an `attrgetter` that also returns a tuple for no name and for one."""
    match names:
        case []:
            return lambda _: ()
        case [name]:
            return lambda event: (getattr(event, name),)
    return attrgetter(*names)


_OWN: Final[Mapping[str, _Own]] = {kind.TOPIC: _own(kind) for kind in EVENTS}
_tags: Final = attrgetter("job_id", "workflow_id", "node_id", "job_seq", "attempt", "late")
_NO_TAGS: Final = (None, None, None, None, None, False)


def event_out(recorded: Recorded) -> dict[str, Any]:
    """Return an event as a JSON object. `data` has its own fields, private ones included.

    A key is absent from `data` if the event did not change the field; null means cleared.
    """
    position, event = recorded
    topic = event.TOPIC
    tags = _tags(event) if isinstance(event, TaggedEvent) else _NO_TAGS
    job_id, workflow_id, node_id, job_seq, attempt, late = tags
    return {
        "position": position,
        "topic": topic,
        "time": iso(moment(event)),
        "clock": iso(event.clock) if event.clock else None,
        "by": event.by,
        "asset_id": event.originator_id if topic.startswith(_ASSET) else None,
        "job_id": job_id,
        "workflow_id": workflow_id,
        "node_id": node_id,
        "job_seq": job_seq,
        "attempt": attempt,
        "late": late,
        "version": event.originator_version,
        "data": _data(event),
    }


def cloud_event(recorded: Recorded, source: str) -> dict[str, Any]:
    """Return an event wrapped in a CloudEvent (1.0, JSON format). `source` names the log."""
    event = event_out(recorded)
    return {
        "specversion": "1.0",
        "id": str(recorded.position),
        "source": source,
        "type": f"asset-ledger.{event['topic']}",
        "subject": event["asset_id"] or event["job_id"] or source,
        "time": event["time"],
        "datacontenttype": "application/json",
        "data": event,
    }


def _data(event: Event) -> dict[str, Any]:
    own = _OWN[event.TOPIC]
    data = {
        name: value if type(value) is not datetime else iso(value)
        for name, value in zip(own.names, own.values(event), strict=True)
        if value is not UNSET
    }
    if isinstance(event, TaggedEvent):
        data.update(private_of(event))
    return data
