"""What the stored bytes of an event say of it, read without the classes that made them.

An audit reads events as a stranger would: by the names that are frozen into the bytes.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.ledger.errors import PoisonEventError

TEXTS: Final = ("by", "user_id", "workflow_id", "node_id", "job_id", "command", "digest")
NUMBERS: Final = ("job_seq", "events", "size")

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


class Stored(NamedTuple):
    """A row of stored_events, as its file has it: nothing about its types is certain."""

    position: int
    stream: Any
    version: Any
    topic: Any
    state: Any

    @property
    def typed(self) -> bool:
        """Whether each column has its type. Text in the place of bytes would hash alike."""
        kinds = (str, int, str, bytes)
        return all(isinstance(value, kind) for value, kind in zip(self[1:], kinds, strict=True))


def read_said(stored: Stored) -> dict[str, Any]:
    """The JSON in an event's state. Raises PoisonEventError unless its envelope is one."""
    try:
        said = orjson.loads(stored.state)
    except ValueError as error:
        raise PoisonEventError(stored.position, str(error)) from error
    if not isinstance(said, dict) or not _is_envelope(said):
        raise PoisonEventError(stored.position, "its bytes are not the envelope of an event")
    return said


def _is_envelope(said: Mapping[str, Any]) -> bool:
    texts = all(isinstance(said.get(name, ""), str) for name in TEXTS)
    numbers = all(type(said.get(name, 0)) is int for name in NUMBERS)
    when = said.get("recorded_at")
    return texts and numbers and isinstance(when, str) and bool(_TIME.fullmatch(when))
