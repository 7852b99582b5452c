"""The clock of this machine, and whether the times in the log are ahead of it.

Promise: the program learns the time of an event here only, so that tests can pass another clock.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from asset_ledger.ledger.domain.event import MAX_CLOCK_LAG, iso

Clock = Callable[[], datetime]
"""Returns the time in UTC."""

logger: Final = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return the time of this machine in UTC."""
    return datetime.now(UTC)


class ClockCheck:
    """Compares a clock with the time of the last event, and logs when it falls behind."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._last: datetime | None = None
        self._is_wrong = False

    @property
    def lag(self) -> timedelta:
        """How far the clock is behind the last event; zero if it is not behind."""
        return max(timedelta(), self._last - self._clock()) if self._last else timedelta()

    @property
    def problem(self) -> str | None:
        """What is wrong and what to do; None if the clock is at most `MAX_CLOCK_LAG` behind."""
        lag = self.lag
        if self._last is None or lag <= MAX_CLOCK_LAG:
            return None
        behind = timedelta(seconds=round(lag.total_seconds()))
        return (
            f"this machine's clock is {behind} behind the last event, of {iso(self._last)}: new"
            " events repeat that time and hold the clock's own as `clock`. Set the clock right if"
            " it is wrong; if it is right, read the times of these events from `clock`"
        )

    def note(self, last: datetime | None) -> None:
        """Take the time of the last event of the log. Log a problem once, and its end."""
        self._last = last
        problem = self.problem
        if problem is not None and not self._is_wrong:
            logger.warning("%s", problem)
        elif problem is None and self._is_wrong:
            logger.warning("this machine's clock has reached the time of the last event")
        self._is_wrong = problem is not None
