"""Limit the rate of requests per user: a token bucket for each user, filled at a steady rate.

A request above the limit is refused at once, never delayed.
"""

import time
from collections.abc import Callable
from typing import Final

from asset_ledger.api.contract.errors import RateLimitedError
from asset_ledger.api.contract.rates import Rate

MAX_BUCKETS: Final = 10_000
"""Above so many buckets, full ones are dropped: a new bucket is full too."""


class RateLimit:
    """The buckets of all users: `rate.count` requests per period each, in a burst or spread."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = str(rate)
        self._capacity, self._rate = float(rate.count), rate.per_second
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._max_buckets = MAX_BUCKETS

    def take(self, user_id: str) -> None:
        """Count a request of a user. Raises RateLimitedError if the user's bucket is empty."""
        now = self._clock()
        level = self._level(user_id, now)
        if level < 1.0:
            raise RateLimitedError(self._limit, (1.0 - level) / self._rate)
        self._buckets[user_id] = (level - 1.0, now)
        if len(self._buckets) > self._max_buckets:
            self._drop_full(now)

    def _level(self, user_id: str, now: float) -> float:
        level, since = self._buckets.get(user_id, (self._capacity, now))
        return min(self._capacity, level + (now - since) * self._rate)

    def _drop_full(self, now: float) -> None:
        users = [user for user in self._buckets if self._level(user, now) < self._capacity]
        self._buckets = {user: self._buckets[user] for user in users}
        self._max_buckets = max(MAX_BUCKETS, 2 * len(users))  # else each request would scan all
