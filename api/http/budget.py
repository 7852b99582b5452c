"""A number of bytes that all requests share."""

from asset_ledger.ledger.errors import BusyError


class Budget:
    """At most `size` bytes at a time. For the event loop."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.used = 0

    def take(self, count: int) -> None:
        """Take some bytes. Raises BusyError if too few are left."""
        if self.used + count > self._size:
            reason = "the bodies of other requests fill the memory for them: retry later"
            raise BusyError(reason, "body-memory")
        self.used += count

    def give_back(self, count: int) -> None:
        """Return bytes that were taken."""
        self.used -= count
