"""A histogram for metrics, cheap enough to be always on."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts of observations by upper bound. One thread counts; any thread may read."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascend; values above the last are counted in an extra bucket."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def count(self, value: float) -> None:
        """Add one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
