"""Decode a stored event without trusting it, for audits.

The event classes are not used: an audit reads fields by the names in the stored bytes.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.ledger.errors import PoisonEventError

TEXTS: Final = ("by", "user_id", "workflow_id", "node_id", "job_id", "command", "digest")
NUMBERS: Final = ("job_seq", "attempt", "events", "size")
FLAGS: Final = ("late",)

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


class Stored(NamedTuple):
    """A row of `stored_events`. Its columns may have any type."""

    position: int
    stream: Any
    version: Any
    topic: Any
    state: Any

    @property
    def typed(self) -> bool:
        """Whether each column has its type. Text instead of bytes would have the same hash."""
        kinds = (str, int, str, bytes)
        return all(isinstance(value, kind) for value, kind in zip(self[1:], kinds, strict=True))


def read_envelope(stored: Stored) -> dict[str, Any]:
    """Return the JSON object of an event's state. Raises PoisonEventError for any other bytes."""
    try:
        envelope = orjson.loads(stored.state)
    except ValueError as error:
        raise PoisonEventError(stored.position, str(error)) from error
    if not isinstance(envelope, dict) or not _is_envelope(envelope):
        raise PoisonEventError(stored.position, "its bytes are not the envelope of an event")
    return envelope


def _is_envelope(envelope: Mapping[str, Any]) -> bool:
    texts = all(isinstance(envelope.get(name, ""), str) for name in TEXTS)
    numbers = all(type(envelope.get(name, 0)) is int for name in NUMBERS)
    flags = all(isinstance(envelope.get(name, False), bool) for name in FLAGS)
    when = envelope.get("recorded_at")
    return texts and numbers and flags and isinstance(when, str) and bool(_TIME.fullmatch(when))
