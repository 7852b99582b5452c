"""Parse rates such as `100/s`, `6000/m`, `10/h`."""

import re
from dataclasses import dataclass
from typing import Final

OFF: Final = "off"

_PERIODS: Final = {"s": ("a second", 1.0), "m": ("a minute", 60.0), "h": ("an hour", 3600.0)}
_RATE: Final = re.compile(r"([1-9]\d{0,8})/([smh])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of requests per period of some seconds."""

    count: int
    period: str
    seconds: float

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    def __str__(self) -> str:
        return f"{self.count:,} request{'s' if self.count > 1 else ''} {self.period}"


def read_rate(text: str) -> Rate | None:
    """Return the rate in a text, None for `off`. Raises ValueError."""
    if text == OFF:
        return None
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError("must be off, or a count per s, m or h, such as 100/s")
    return Rate(int(match[1]), *_PERIODS[match[2]])
