"""Which web pages of other origins may use the API: what the setting CORS_ORIGINS says."""

import re
from typing import Final, NamedTuple

_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[\w.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII
)


class Origins(NamedTuple):
    """Origins by name, or any of them."""

    any: bool
    named: frozenset[str]

    def allow(self, origin: str | None) -> bool:
        """Whether a page of this origin may use the API."""
        return origin is not None and (self.any or origin in self.named)


def read_origins(text: str) -> Origins:
    """`off`, `*`, or origins with commas between them. Raises ValueError."""
    if text in ("off", "*"):
        return Origins(text == "*", frozenset())
    named = frozenset(part.strip().lower() for part in text.split(","))
    if odd := [origin for origin in named if not _ORIGIN.fullmatch(origin)]:
        raise ValueError(f"{odd[0]!r} is no origin: write them like https://app.example.org")
    return Origins(False, named)
