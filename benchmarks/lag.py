"""Lag of the projections during uploads at full speed, and the time to catch up afterwards.

Promise: a projection has caught up when it has the last event of the log.
"""

import re
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.load import Load, uploads
from benchmarks.machine import BenchmarkError, disk, machine
from benchmarks.servers import Server, product_command, serving

BETWEEN: Final = 0.2
"""Seconds between two reads of the lag. Each costs the server some milliseconds."""
PATIENCE: Final = 120.0

_LAG: Final = re.compile(r'^asset_ledger_projection_lag\{projection="(\w+)"\} (\S+)$', re.MULTILINE)

Lags = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Round:
    """One run of uploads, the lags during it, and the seconds that each projection caught up in."""

    load: Load
    seen: Sequence[Lags]
    caught_up: dict[str, float]


class Uploading(threading.Thread):
    """One run of uploads. `load` is set after `join`."""

    def __init__(self, server: Server, connections: int, seconds: int) -> None:
        super().__init__()
        self._server, self._connections, self._seconds = server, connections, seconds
        self.load: Load | None = None

    def run(self) -> None:
        self.load = uploads(self._server.url, connections=self._connections, seconds=self._seconds)


def lags(client: HTTPConnection) -> Lags:
    """Return the lag of each projection, in events."""
    client.request("GET", "/metrics")
    return {name: float(lag) for name, lag in _LAG.findall(client.getresponse().read().decode())}


def measure(server: Server, connections: int, seconds: int) -> Round:
    """Upload, read the lags meanwhile, and wait for every projection."""
    client = HTTPConnection(urlsplit(server.url).netloc)
    uploading = Uploading(server, connections, seconds)
    seen = []
    uploading.start()
    while uploading.is_alive():
        seen.append(lags(client))
        uploading.join(BETWEEN)
    if uploading.load is None:
        raise BenchmarkError("the uploads failed")
    caught_up = seconds_to_catch_up(client)
    client.close()
    return Round(uploading.load, seen, caught_up)


def seconds_to_catch_up(client: HTTPConnection) -> dict[str, float]:
    """Wait, and return the seconds for each projection. Raises BenchmarkError after PATIENCE."""
    start, caught_up = time.perf_counter(), dict[str, float]()
    while True:
        since, seen = time.perf_counter() - start, lags(client)
        for name, lag in seen.items():
            if not lag:
                caught_up.setdefault(name, since)
        if len(caught_up) == len(seen):
            return caught_up
        if since > PATIENCE:
            raise BenchmarkError(f"a projection has not caught up after {PATIENCE:.0f} s")
        time.sleep(BETWEEN / 10)


def settle(server: Server) -> None:
    """Wait until every projection has caught up."""
    client = HTTPConnection(urlsplit(server.url).netloc)
    seconds_to_catch_up(client)
    client.close()


def table(rounds: list[Round]) -> Table:
    rate = median(each.load.rate for each in rounds)
    title = f"Projections behind {rate:,.0f} uploads a second"
    grid = Table("projection", "events behind, median", "most", "catches up in", title=title)
    for name in rounds[0].caught_up:
        behind = [seen[name] for each in rounds for seen in each.seen]
        caught_up = median(each.caught_up[name] for each in rounds)
        grid.add_row(name, f"{median(behind):,.0f}", f"{max(behind):,.0f}", f"{caught_up:.2f} s")
    return grid


@click.command()
@click.option("--connections", type=click.IntRange(1), default=64, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=20, help="Length of a run.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="A disk to measure.")
def main(connections: int, rounds: int, seconds: int, folder: Path | None) -> None:
    """Upload without a pause, and print the lag of each projection and its time to catch up."""
    with tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-", dir=folder) as temporary:
        about = {**machine(), **disk(Path(temporary))}
        with (
            Progress(console=Console(stderr=True), transient=True) as progress,
            serving("product", product_command(Path(temporary) / "product")) as server,
        ):
            runs = progress.track(range(rounds), description="uploading")
            taken = [measure(server, connections, seconds) for _ in runs]
    Console(width=100).print(table(taken))
    click.echo(" · ".join(f"{name} {value}" for name, value in about.items()))


if __name__ == "__main__":
    main()
