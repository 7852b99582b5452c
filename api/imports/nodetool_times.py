"""NodeTool's times. Its Python releases wrote local times without a zone, later releases UTC."""

import time
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from asset_ledger.ledger.domain.event import iso

_MILLISECONDS: Final = 1e11
"""Above this, a number of seconds would be beyond the year 5000: it counts milliseconds."""


class Times:
    """Reads times. `without_zone`: how many of them had no zone, and were read as local ones."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        """`zone`: of times without one; None is the zone of this host."""
        self._zone = zone
        self.without_zone = 0

    @property
    def zone(self) -> str:
        """The name of the zone of times without one."""
        if self._zone is not None:
            return str(self._zone)
        return f"{'/'.join(dict.fromkeys(time.tzname))} (this host's)"

    def read(self, value: Any) -> str:
        """Return a time in UTC. Raises ValueError, OverflowError or OSError."""
        if isinstance(value, int | float):
            seconds = value / 1_000 if abs(value) > _MILLISECONDS else value
            return iso(datetime.fromtimestamp(seconds, UTC))
        text = value.decode() if isinstance(value, bytes) else str(value)
        when = datetime.fromisoformat(text.strip())
        if when.tzinfo is not None:
            return iso(when)
        utc = when.replace(tzinfo=self._zone).astimezone(UTC)  # without a zone: of this host
        self.without_zone += 1
        return iso(utc)
