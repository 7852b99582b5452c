"""How long contents are retained, as text: `30d`, `12h`, `all`, a number."""

import re
from datetime import timedelta
from typing import Final

_ALL: Final = "all"
_DURATION: Final = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_duration(text: str) -> timedelta:
    """Return a duration such as 30d, 12h or 0. Raises ValueError."""
    if text == "0":
        return timedelta()
    if (match := _DURATION.fullmatch(text)) is None:
        raise ValueError("must be a duration such as 30d, 12h or 90m, or 0")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def read_versions(text: str) -> int | timedelta | None:
    """Return a number of versions, a duration, or None for all. Raises ValueError."""
    if text == _ALL:
        return None
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return int(text)
    try:
        return read_duration(text)
    except ValueError as error:
        raise ValueError("must be all, a number, or a duration such as 30d") from error
