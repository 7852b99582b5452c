"""How often a user may ask: a bucket of tokens for each, filled at a steady rate.

Promise: nobody is kept waiting here, and nobody's bucket is another's.
"""

import time
from collections.abc import Callable
from typing import Final

from asset_ledger.api.contract.errors import RateLimitedError
from asset_ledger.api.contract.rates import Rate

MAX_BUCKETS: Final = 10_000
"""So many users are remembered; beyond, those who are not waiting for anything are forgotten."""


class RateLimit:
    """So many requests a period for each user, all of them at once if he likes."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._said = str(rate)
        self._most, self._rate = float(rate.count), rate.per_second
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._room = MAX_BUCKETS

    def take(self, user_id: str) -> None:
        """Count one request of a user. Raises RateLimitedError if it is one too many."""
        now = self._clock()
        level = self._level(user_id, now)
        if level < 1.0:
            raise RateLimitedError(self._said, (1.0 - level) / self._rate)
        self._buckets[user_id] = (level - 1.0, now)
        if len(self._buckets) > self._room:
            self._forget_full(now)

    def _level(self, user_id: str, now: float) -> float:
        level, since = self._buckets.get(user_id, (self._most, now))
        return min(self._most, level + (now - since) * self._rate)

    def _forget_full(self, now: float) -> None:
        waiting = [user for user in self._buckets if self._level(user, now) < self._most]
        self._buckets = {user: self._buckets[user] for user in waiting}
        self._room = max(MAX_BUCKETS, 2 * len(waiting))  # else each request would look at all
