"""The size of the batches in which large contents are written and read."""

from typing import Final

from asset_ledger.ledger.content.store import SMALL

LARGEST: Final = 1 << 20
"""Bytes of a batch, if few contents are under way: a thread hop costs as much as hashing 64 KiB."""

MEMORY: Final = 64 * LARGEST
"""Bytes that the batches of all large contents share, down to 64 KiB for a batch."""


class Batches:
    """The size of a batch, which depends on the number of `contents` under way.

    Each has up to `batches` in memory.
    """

    def __init__(self, batches: int) -> None:
        self.contents, self._batches = 0, batches

    @property
    def size(self) -> int:
        return max(SMALL, min(LARGEST, MEMORY // (self._batches * max(1, self.contents))))
