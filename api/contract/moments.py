"""A time as people and agents name it: a time, a date, or how long ago."""

import re
from datetime import datetime
from typing import Final

from asset_ledger.api.contract.durations import read_duration
from asset_ledger.ledger.clock import utc_now
from asset_ledger.ledger.domain.event import iso, parse_time

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def read_moment(text: str) -> str:
    """Return as RFC 3339: a time, a date (in UTC), or 7d, 12h, 30m ago. Raises ValueError."""
    if _DATE.fullmatch(text):
        text = f"{text}T00:00:00Z"
    try:
        return iso(_time_of(text))
    except OverflowError as error:
        raise ValueError("is out of range: use a year from 1 to 9999") from error


def _time_of(text: str) -> datetime:
    try:
        span = read_duration(text)
    except ValueError:
        return parse_time(text)
    return utc_now() - span
