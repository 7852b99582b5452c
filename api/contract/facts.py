"""A fact on the wire: one shape for histories, events, lines and exports."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from ledger.codec import FACTS
from ledger.fact import UNSET, Fact, Json, Recorded, TaggedFact, iso, moment, private_of

_ENVELOPE: Final = frozenset(field.name for kind in (Fact, TaggedFact) for field in fields(kind))
_OWN: Final[Mapping[str, Sequence[str]]] = {
    kind.TOPIC: [field.name for field in fields(kind) if field.name not in _ENVELOPE]
    for kind in FACTS
}
"""The fields of each kind of facts beyond the envelope."""
_NO_TAGS: Final = {"job_id": None, "workflow_id": None, "node_id": None, "job_seq": None}


def fact_out(recorded: Recorded) -> dict[str, Any]:
    """One fact as JSON has it. `data` holds the fact's own fields, private ones merged in.

    An absent key of `data` says that this fact did not touch the field, null that it has none.
    """
    event = recorded.event
    asset_id = event.originator_id if event.TOPIC.startswith("asset.") else None
    return {
        "position": recorded.position,
        "topic": event.TOPIC,
        "time": iso(moment(event)),
        "by": event.by,
        "asset_id": asset_id,
        **(_tags(event) if isinstance(event, TaggedFact) else _NO_TAGS),
        "version": event.originator_version,
        "data": _data(event),
    }


def cloud_event(recorded: Recorded, source: str) -> dict[str, Any]:
    """The fact inside a CloudEvent (1.0, JSON format). `source` names the log."""
    fact = fact_out(recorded)
    return {
        "specversion": "1.0",
        "id": str(recorded.position),
        "source": source,
        "type": f"asset-ledger.{fact['topic']}",
        "subject": fact["asset_id"] or fact["job_id"] or source,
        "time": fact["time"],
        "datacontenttype": "application/json",
        "data": fact,
    }


def _tags(event: TaggedFact) -> dict[str, Json]:
    return {
        "job_id": event.job_id,
        "workflow_id": event.workflow_id,
        "node_id": event.node_id,
        "job_seq": event.job_seq,
    }


def _data(event: Fact) -> dict[str, Any]:
    own = ((name, getattr(event, name)) for name in _OWN[event.TOPIC])
    data = {name: _plain(value) for name, value in own if value is not UNSET}
    if isinstance(event, TaggedFact):
        data.update(private_of(event))
    return data


def _plain(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else value
