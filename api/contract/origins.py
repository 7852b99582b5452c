"""Parse the setting CORS_ORIGINS: the origins whose web pages may use the API."""

import re
from typing import Final, NamedTuple

_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[\w.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII
)


class Origins(NamedTuple):
    """The allowed origins. `any`: every origin."""

    any: bool
    allowed: frozenset[str]

    def allow(self, origin: str | None) -> bool:
        """Return whether a page of this origin may use the API."""
        return origin is not None and (self.any or origin in self.allowed)


def read_origins(text: str) -> Origins:
    """Return the origins in a text: `off`, `*`, or a comma-separated list. Raises ValueError."""
    if text in ("off", "*"):
        return Origins(text == "*", frozenset())
    allowed = frozenset(part.strip().lower() for part in text.split(","))
    if odd := [origin for origin in allowed if not _ORIGIN.fullmatch(origin)]:
        raise ValueError(f"{odd[0]!r} is not an origin: write it like https://app.example.org")
    return Origins(False, allowed)
