"""Usage of a million assets: running totals against a point read of one asset.

Promise: one server answers both, in turns.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

import click
import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.crawl import get, write_paths
from benchmarks.fill import ledger, names
from benchmarks.load import pages
from benchmarks.machine import machine
from benchmarks.servers import Server, product_command, serving
from benchmarks.turns import CELLS, Turns, cells

POINT: Final = "one asset"
BAR: Final = 5.0
"""Limit: the cost of one request for usage, in point reads."""
QUESTIONS: Final = {
    "nodes by bytes": "group_by=node_id&sort=-bytes",
    "nodes by largest": "group_by=node_id&sort=-largest",
    "100 jobs by count": "group_by=job_id&sort=-count",
    "days": "group_by=day&sort=key",
}
COUNTED: Final = "nodes of one job"


def paths(server: Server, assets: int) -> dict[str, list[str]]:
    """Return the paths of each question."""
    client = HTTPConnection(urlsplit(server.url).netloc)
    try:
        some = get(client, "/api/assets?page_size=1000")["assets"]
    finally:
        client.close()
    base = "/api/assets/usage?"
    return {
        POINT: [f"/api/assets/{asset['id']}" for asset in some],
        **{name: [base + query] for name, query in QUESTIONS.items()},
        COUNTED: [f"{base}group_by=node_id&job_id={job}" for job in names("job", assets)],
    }


@contextmanager
def ready(data_dir: Path, progress: Progress) -> Iterator[Server]:
    """Start the product on this folder. It builds its tables before it listens."""
    start = time.monotonic()
    with serving("product", product_command(data_dir)) as server:
        progress.console.print(f"ready after {time.monotonic() - start:.1f} s")
        yield server


def ratio(turns: Turns, name: str) -> float:
    """Return the cost of one answer in point reads: the median over neighbouring turns."""
    pairs = zip(turns.of("product", POINT), turns.of("product", name), strict=True)
    return median(point.load.rate / other.load.rate for point, other in pairs)


def table(assets: int, turns: Turns, questions: Sequence[str]) -> Table:
    grid = Table("question", *CELLS, "point reads", "bar", title=f"Usage of {assets:,} assets")
    for name in questions:
        cost = "" if name == POINT else f"{ratio(turns, name):.2f}"
        bar = str(BAR) if name in QUESTIONS else ""
        grid.add_row(name, *cells(turns.of("product", name)), cost, bar)
    return grid


@click.command()
@click.option("--assets", type=click.IntRange(1_000), default=1_000_000, show_default=True)
@click.option("--connections", type=click.IntRange(1), default=4, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, help="Turns of each question.")
@click.option("--seconds", type=click.IntRange(1), default=2, help="Length of a turn.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Keep the data here.")
@click.option("--json", "as_json", is_flag=True, help="Print every turn as JSON.")
def main(
    assets: int, connections: int, rounds: int, seconds: int, folder: Path | None, as_json: bool
) -> None:
    """Read usage and single assets in turns, and print their ratio."""
    turns, files = Turns(), {}
    with (
        tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-") as temporary,
        Progress(console=Console(stderr=True), transient=True) as progress,
        ready(ledger(folder or Path(temporary), assets, progress), progress) as server,
    ):
        for name, addresses in paths(server, assets).items():
            files[name] = write_paths(Path(temporary) / f"{name}.paths", addresses)
        for _ in range(rounds):
            for name, file in files.items():
                load = partial(pages, paths=file, connections=connections, seconds=seconds)
                turns.take(server, name, load)
    about = machine()
    if as_json:
        click.echo(orjson.dumps({"machine": about, "turns": turns.taken}))
        return
    Console(width=100).print(table(assets, turns, list(files)))
    click.echo(" · ".join(f"{name} {value}" for name, value in about.items()))


if __name__ == "__main__":
    main()
