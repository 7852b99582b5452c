"""`as_of`: an answer as it was at some position of the log, or at some moment."""

from datetime import datetime
from typing import Final

from asset_ledger.api.contract.parameters import MAX_POSITION, Parameter, whole
from asset_ledger.ledger.domain.event import parse_time

_position = whole(0, MAX_POSITION)


def read_as_of(text: str) -> int | datetime:
    """A position, or a moment in RFC 3339 with its zone. Raises ValueError."""
    if text.isdecimal():
        return _position(text)
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a position, or a time such as 2026-01-31T12:00:00Z") from error


AS_OF: Final = Parameter(
    "as_of", "As it was at this position of the log, or at this time (RFC 3339).", read_as_of
)
