"""Slots of the bounded write queue: a write takes one before its body is read."""

from collections.abc import Iterator
from contextlib import contextmanager

from asset_ledger.ledger.errors import BusyError


class Slots:
    """The `size` slots of one event loop."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size

    @property
    def taken(self) -> int:
        """The number of slots in use."""
        return self._size - self._free

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a slot until the block ends. Raises BusyError if all are taken."""
        if not self._free:
            raise BusyError("too many writes are waiting; try again in a second")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
