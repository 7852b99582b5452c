"""Turns of the product and of its floor in this process, one after the other, and their row.

Promise: a ratio is one of neighbouring turns, so that a slow phase of the machine hits both.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.rows import Row


class Turn(NamedTuple):
    """Wall and processor time in s of this process, for so many units of work."""

    seconds: float
    cpu_seconds: float
    units: int

    @property
    def rate(self) -> float:
        return self.units / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / self.units * 1e6


def timed(work: Callable[[], int]) -> Turn:
    """Do some work, which returns its units."""
    start, busy = time.perf_counter(), time.process_time()
    units = work()
    return Turn(time.perf_counter() - start, time.process_time() - busy, units)


class Pair(NamedTuple):
    """Neighbouring turns of the product and of the floor."""

    product: Turn
    floor: Turn


def compared(
    what: str,
    pairs: Sequence[Pair],
    bar: float,
    unit: str,
    *,
    floor: str = "floor",
    most: bool = False,
    at: int | None = None,
) -> Row:
    """Return the row of the product's rate over that of the floor; with `most`, of its time."""
    ratios = [pair.product.rate / pair.floor.rate for pair in pairs]
    beside = {
        f"product {unit}": [pair.product.rate for pair in pairs],
        f"{floor} {unit}": [pair.floor.rate for pair in pairs],
        f"CPU over that of the {floor}": [p.cpu_us / f.cpu_us for p, f in pairs],
    }
    values = [1 / ratio for ratio in ratios] if most else ratios
    return Row(what, values, bar, most=most, at=at, beside=beside)
