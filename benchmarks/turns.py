"""Measure servers in turns, and compare two servers over many turns.

Promise: a ratio compares neighbouring turns, so that a slow phase of the machine hits both.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from benchmarks.load import Load
from benchmarks.servers import Server

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of a load against one server. `cpu_us` is the server's CPU time per answer."""

    server: str
    load_name: str
    load: Load
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratio of the rates of two servers: median, lowest and highest over all turns."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f}-{self.highest:.2f})"


class Turns:
    """All turns of a benchmark, in order."""

    def __init__(self) -> None:
        self.taken: list[Turn] = []

    def take(self, server: Server, load_name: str, run: Callable[[str], Load]) -> None:
        """Run a load against a server's address."""
        # Otherwise the next server's fsync would write the dirty pages of this one.
        os.sync()
        before = server.cpu_seconds()
        load = run(server.url)
        spent = server.cpu_seconds() - before
        self.taken.append(Turn(server.name, load_name, load, spent / load.acknowledged * 1e6))

    def of(self, server: str, load_name: str) -> list[Turn]:
        return [t for t in self.taken if (t.server, t.load_name) == (server, load_name)]

    def rates(self, server: str, load_name: str) -> list[float]:
        return [turn.load.rate for turn in self.of(server, load_name)]

    def ratios(self, server: str, base: str, load_name: str) -> list[float]:
        """Return the ratio of the rates of two servers in each round."""
        return divided(self.rates(server, load_name), self.rates(base, load_name))

    def ratio(self, server: str, base: str, load_name: str) -> Ratio:
        ratios = self.ratios(server, base, load_name)
        return Ratio(median(ratios), min(ratios), max(ratios))


def divided(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return the ratios of neighbouring values."""
    return [value / other for value, other in zip(values, base, strict=True)]


def alternating(rounds: int, sides: Sequence[T]) -> Iterator[T]:
    """Yield each side once a round, in the opposite order of the round before."""
    for number in range(rounds):
        yield from sides if number % 2 == 0 else reversed(sides)


def cells(turns: Iterable[Turn]) -> list[str]:
    """Return the medians for the columns `CELLS`."""
    loads = [(t.load.rate, t.load.p50_ms, t.load.p99_ms, t.cpu_us) for t in turns]
    rate, p50, p99, cpu = (median(values) for values in zip(*loads, strict=True))
    return [f"{rate:,.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{cpu:.0f}"]


CELLS = ("answers/s", "p50 ms", "p99 ms", "CPU us")
