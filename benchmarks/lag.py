"""How far the projections that follow lag behind while uploads go on as fast as they can, and how long
they take to catch up.

Promise: what is waited for is the log's last event, in every projection.
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
"""Seconds between two looks: each costs the server some milliseconds."""
PATIENCE: Final = 120.0

_LAG: Final = re.compile(r'^asset_ledger_projection_lag\{projection="(\w+)"\} (\S+)$', re.MULTILINE)

Lags = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Round:
    """One run of uploads, the lags seen meanwhile, and the seconds that catching up took."""

    load: Load
    seen: Sequence[Lags]
    caught_up: dict[str, float]


class Uploading(threading.Thread):
    """One run of uploads, which ends by itself. `load` is there after `join`."""

    def __init__(self, server: Server, connections: int, seconds: int) -> None:
        super().__init__()
        self._server, self._connections, self._seconds = server, connections, seconds
        self.load: Load | None = None

    def run(self) -> None:
        self.load = uploads(self._server.url, connections=self._connections, seconds=self._seconds)


def lags(client: HTTPConnection) -> Lags:
    """How many events each projection lacks now."""
    client.request("GET", "/metrics")
    return {name: float(lag) for name, lag in _LAG.findall(client.getresponse().read().decode())}


def watched(server: Server, connections: int, seconds: int) -> Round:
    """Upload, look on, and wait for every projection."""
    client, uploading = (
        HTTPConnection(urlsplit(server.url).netloc),
        Uploading(server, connections, seconds),
    )
    seen = []
    uploading.start()
    while uploading.is_alive():
        seen.append(lags(client))
        uploading.join(BETWEEN)
    if uploading.load is None:
        raise BenchmarkError("the uploads failed")
    caught_up = catching_up(client)
    client.close()
    return Round(uploading.load, seen, caught_up)


def catching_up(client: HTTPConnection) -> dict[str, float]:
    """When each projection has everything, in s from now. Raises BenchmarkError if one never has."""
    start, caught_up = time.perf_counter(), dict[str, float]()
    while True:
        since, seen = time.perf_counter() - start, lags(client)
        for name, lag in seen.items():
            if not lag:
                caught_up.setdefault(name, since)
        if len(caught_up) == len(seen):
            return caught_up
        if since > PATIENCE:
            raise BenchmarkError("a projection does not catch up")
        time.sleep(BETWEEN / 10)


def settle(server: Server) -> None:
    """Return once every projection has everything."""
    client = HTTPConnection(urlsplit(server.url).netloc)
    catching_up(client)
    client.close()


def table(rounds: list[Round]) -> Table:
    rate = median(one.load.rate for one in rounds)
    title = f"Projections behind {rate:,.0f} uploads a second"
    grid = Table("projection", "events behind, median", "most", "catches up in", title=title)
    for name in rounds[0].caught_up:
        behind = [one[name] for each in rounds for one in each.seen]
        caught_up = median(one.caught_up[name] for one in rounds)
        grid.add_row(name, f"{median(behind):,.0f}", f"{max(behind):,.0f}", f"{caught_up:.2f} s")
    return grid


@click.command()
@click.option("--connections", type=click.IntRange(1), default=64, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=20, help="Length of a run.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="A disk to measure.")
def main(connections: int, rounds: int, seconds: int, folder: Path | None) -> None:
    """Upload without a pause, and print how far each projection is behind, and how long it stays so."""
    with tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-", dir=folder) as temporary:
        about = {**machine(), **disk(Path(temporary))}
        with (
            Progress(console=Console(stderr=True), transient=True) as progress,
            serving("product", product_command(Path(temporary) / "product")) as server,
        ):
            runs = progress.track(range(rounds), description="uploading")
            taken = [watched(server, connections, seconds) for _ in runs]
    Console(width=100).print(table(taken))
    click.echo(" · ".join(f"{name} {value}" for name, value in about.items()))


if __name__ == "__main__":
    main()
