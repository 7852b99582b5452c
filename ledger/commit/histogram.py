"""Counting what happens often: so cheap that nobody has to ask whether it is on."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """How many observations lie under which bound. One thread counts; any thread may read."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` rise; what lies above the last is counted after it."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def count(self, value: float) -> None:
        """One more observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
