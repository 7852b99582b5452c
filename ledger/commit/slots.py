"""Slots of the bounded write queue: a write takes one before its body is read."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from asset_ledger.ledger.errors import BusyError

LEAST: Final = 16
"""Writes that may wait, however long a commit takes: a slow disk needs large groups."""


class Slots:
    """The `size` slots of one event loop, of which a user may hold `per_user`.

    A write should wait at most `longest` seconds for its commit. One that waited longer limits the
    number that wait to the present one, less one; any other raises the limit by one. A user without
    a slot is exempt: the writes of others do not keep it out.
    """

    def __init__(self, size: int, per_user: int | None = None, longest: float = math.inf) -> None:
        self._size = self._free = self._limit = size
        self._per_user = size if per_user is None else per_user
        self._longest = longest
        self._held = defaultdict[str, int](int)
        self._waiting = 0

    @property
    def taken(self) -> int:
        """The number of slots in use."""
        return self._size - self._free

    @contextmanager
    def take(self, user: str = "") -> Iterator[None]:
        """Hold a slot until the block ends. Raises BusyError if all, or the user's, are taken, or
        if the user has one and as many writes wait as may."""
        if not self._free:
            raise BusyError("too many writes are waiting; try again in a second", "writes")
        if self._held[user] >= self._per_user:
            raise BusyError(
                f"{self._per_user:,} writes of this user are waiting, which is one user's share;"
                " try again in a second",
                "writes-of-a-user",
            )
        if self._waiting >= self._limit and self._held[user]:
            raise BusyError("writes wait too long for their commit; try again later", "queue-wait")
        self._free -= 1
        self._held[user] += 1
        try:
            yield
        finally:
            self._free += 1
            self._held[user] -= 1
            if not self._held[user]:
                del self._held[user]  # else users without writes would stay in memory

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count a write that waits for its commit until the block ends."""
        self._waiting += 1
        began = time.monotonic()
        try:
            yield
        finally:
            if time.monotonic() - began <= self._longest:
                self._limit = min(self._limit + 1, self._size)
            else:
                self._limit = max(LEAST, min(self._limit, self._waiting) - 1)
            self._waiting -= 1
