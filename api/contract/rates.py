"""How a rate is spelled: `100/s`, `6000/m`, `10/h`."""

import re
from dataclasses import dataclass
from typing import Final

OFF: Final = "off"

_PERIODS: Final = {"s": ("a second", 1.0), "m": ("a minute", 60.0), "h": ("an hour", 3600.0)}
_SPELLED: Final = re.compile(r"([1-9]\d{0,8})/([smh])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a period."""

    count: int
    period: str
    seconds: float

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    def __str__(self) -> str:
        return f"{self.count:,} request{'s' if self.count > 1 else ''} {self.period}"


def read_rate(spelled: str) -> Rate | None:
    """The rate that a text spells, None for `off`. Raises ValueError."""
    if spelled == OFF:
        return None
    match = _SPELLED.fullmatch(spelled)
    if match is None:
        raise ValueError("must be off, or a count with s, m or h: 100/s")
    return Rate(int(match[1]), *_PERIODS[match[2]])
