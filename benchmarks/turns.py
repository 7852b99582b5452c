"""Measure servers in turns, and compare two servers over many turns.

Promise: a ratio compares neighbouring turns, so that a slow phase of the machine hits both.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.load import Load
from benchmarks.servers import Server


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

    def ratio(self, server: str, base: str, load_name: str) -> Ratio:
        pairs = zip(self.of(server, load_name), self.of(base, load_name), strict=True)
        ratios = [turn.load.rate / other.load.rate for turn, other in pairs]
        return Ratio(median(ratios), min(ratios), max(ratios))


def cells(turns: Iterable[Turn]) -> list[str]:
    """Return the medians for the columns `CELLS`."""
    loads = [(t.load.rate, t.load.p50_ms, t.load.p99_ms, t.cpu_us) for t in turns]
    rate, p50, p99, cpu = (median(values) for values in zip(*loads, strict=True))
    return [f"{rate:,.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{cpu:.0f}"]


CELLS = ("answers/s", "p50 ms", "p99 ms", "CPU us")
