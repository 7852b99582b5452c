"""Slots of the bounded write queue: a write takes one before its body is read."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from asset_ledger.ledger.errors import BusyError


class Slots:
    """The `size` slots of one event loop, of which a user may hold `per_user`."""

    def __init__(self, size: int, per_user: int | None = None) -> None:
        self._size = self._free = size
        self._per_user = size if per_user is None else per_user
        self._held = defaultdict[str, int](int)

    @property
    def taken(self) -> int:
        """The number of slots in use."""
        return self._size - self._free

    @contextmanager
    def take(self, user: str = "") -> Iterator[None]:
        """Hold a slot until the block ends. Raises BusyError if all, or the user's, are taken."""
        if not self._free:
            raise BusyError("too many writes are waiting; try again in a second", "writes")
        if self._held[user] >= self._per_user:
            raise BusyError(
                f"{self._per_user:,} writes of this user are waiting, which is one user's share;"
                " try again in a second",
                "writes-of-a-user",
            )
        self._free -= 1
        self._held[user] += 1
        try:
            yield
        finally:
            self._free += 1
            self._held[user] -= 1
            if not self._held[user]:
                del self._held[user]  # else users without writes would stay in memory
