"""Servers measured in turns: what one turn showed, and the ratio of two servers over many.

Promise: a ratio compares each turn with its own neighbour, so that a machine that slows down
slows down both.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.load import Load
from benchmarks.servers import Server


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of a load against one server; `cpu_us` is the server's CPU time for each answer."""

    server: str
    load_name: str
    load: Load
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """One server's rate over another's: the median over turns, and how far turns disagreed."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f}-{self.highest:.2f})"


class Turns:
    """All turns of a benchmark, in the order in which they were taken."""

    def __init__(self) -> None:
        self.taken: list[Turn] = []

    def take(self, server: Server, load_name: str, run: Callable[[str], Load]) -> None:
        """Run a load against a server's address."""
        # Pages that one server left unwritten would otherwise be paid by the next one's fsync.
        os.sync()
        before = server.cpu_seconds()
        load = run(server.url)
        spent = server.cpu_seconds() - before
        self.taken.append(Turn(server.name, load_name, load, spent / load.acknowledged * 1e6))

    def of(self, server: str, load_name: str) -> list[Turn]:
        return [t for t in self.taken if (t.server, t.load_name) == (server, load_name)]

    def ratio(self, server: str, base: str, load_name: str) -> Ratio:
        pairs = zip(self.of(server, load_name), self.of(base, load_name), strict=True)
        ratios = [ours.load.rate / theirs.load.rate for ours, theirs in pairs]
        return Ratio(median(ratios), min(ratios), max(ratios))


def cells(turns: Iterable[Turn]) -> list[str]:
    """Medians for a table, under `CELLS`."""
    loads = [(t.load.rate, t.load.p50_ms, t.load.p99_ms, t.cpu_us) for t in turns]
    rate, p50, p99, cpu = (median(values) for values in zip(*loads, strict=True))
    return [f"{rate:,.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{cpu:.0f}"]


CELLS = ("answers/s", "p50 ms", "p99 ms", "CPU us")
