"""Rebuild of a large log: against one SQL statement and one transaction an event, and its cost
for lists meanwhile.

Promise: the ways are measured in turns, on the same log.
"""

import tempfile
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.bench import Bench
from benchmarks.crawl import crawl, get, write_paths
from benchmarks.fill import ledger, names
from benchmarks.load import Load, pages
from benchmarks.machine import BenchmarkError, disk, machine
from benchmarks.making import Made, Way, by_events, by_sql, compare, generation, made, one_by_one
from benchmarks.rows import Row
from benchmarks.servers import product_command, serving
from benchmarks.turns import alternating, divided

WAYS: Final[dict[str, Way]] = {
    "one SQL statement": by_sql,
    "assets": by_events,
    "assets, one by one": one_by_one,
    "the whole generation": generation,
}
FLOOR, ASSETS, SINGLE, WHOLE = WAYS
CONNECTIONS: Final = 4
REBUILDS: Final = 2

Makings = dict[str, list[Made]]


def rows(bench: Bench) -> list[Row]:
    """Measure a whole generation against the statement, which is checked on the smaller log."""
    compare(bench.log_of(bench.sizes.few) / "ledger.db", bench.folder)
    log = bench.log_of(bench.sizes.assets) / "ledger.db"
    makings: Makings = {FLOOR: [], WHOLE: []}
    for name in alternating(REBUILDS, list(makings)):
        makings[name].append(made(WAYS[name], log, bench.folder))
        bench.say(f"{name}: {makings[name][-1].seconds:.1f} s")
    times = {name: [each.seconds for each in runs] for name, runs in makings.items()}
    return [
        Row(
            "rebuild of all tables over one SQL statement for the assets",
            divided(*([seconds(each) for each in makings[name]] for name in (WHOLE, FLOOR))),
            bar=3,
            aim=2,
            most=True,
            at=bench.sizes.assets,
            beside={f"{name} s": each for name, each in times.items()}
            | {"peak MiB": [each.peak_mib for each in makings[WHOLE]]},
        )
    ]


def make(log: Path, scratch: Path, rounds: int, progress: Progress) -> Makings:
    """Measure every way once in each round."""
    makings: Makings = {name: [] for name in WAYS}
    bar = progress.add_task("making tables", total=rounds * len(WAYS))
    for _ in range(rounds):
        for name, way in WAYS.items():
            makings[name].append(made(way, log, scratch))
            progress.advance(bar)
    return makings


def over(runs: Sequence[Made], base: Sequence[Made], of: Callable[[Made], float]) -> str:
    """Return median, lowest and highest of the ratios of neighbouring runs."""
    ratios = sorted(of(run) / of(other) for run, other in zip(runs, base, strict=True))
    return f"{median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"


def seconds(made: Made) -> float:
    return made.seconds / made.events


def cpu_seconds(made: Made) -> float:
    return made.cpu_seconds / made.events


RATIOS: Final = (
    ("time over SQL's", FLOOR, seconds),
    ("CPU over SQL's", FLOOR, cpu_seconds),
    ("speed over one by one", SINGLE, lambda made: made.rate),
)
BARS: Final = "bars for the assets: 2 times SQL's time (aim 1.5), 10 times one by one (aim 25)"


def table(makings: Makings) -> Table:
    head = ("made", "events", "events/s", "CPU us", "peak MiB", *(name for name, _, _ in RATIOS))
    grid = Table(*head, caption=BARS)
    for name, runs in makings.items():
        cells = (
            f"{runs[0].events:,}",
            f"{median(made.rate for made in runs):,.0f}",
            f"{median(map(cpu_seconds, runs)) * 1e6:.1f}",
            f"{median(made.peak_mib for made in runs):.0f}",
        )
        ratios = [over(runs, makings[base], of) for _, base, of in RATIOS]
        grid.add_row(name, *cells, *ratios)
    return grid


def beside(many: Path, assets: int, seconds: int) -> str:
    """Compare the p99 of lists during a rebuild and on an idle server."""
    with serving("product", product_command(many)) as server:
        found = [
            page.product
            for tag in ("job", "node")
            for page in crawl(server.url, tag, names(tag, assets)[:10])
        ]
        paths = write_paths(many / "rebuild.paths", found)

        def listed() -> Load:
            return pages(server.url, paths, connections=CONNECTIONS, seconds=seconds)

        listed()
        idle = [listed() for _ in range(3)]
        busy = busy_loads(server.url, listed)
    ratio = median(b.p99_ms for b in busy) / median(i.p99_ms for i in idle)
    return (
        f"lists: p99 {median(i.p99_ms for i in idle):.1f} ms idle, "
        f"{median(b.p99_ms for b in busy):.1f} ms (worst {max(b.p99_ms for b in busy):.1f}) in "
        f"{len(busy)} turns beside a rebuild: {ratio:.1f} times (bar: 8)"
    )


def busy_loads(url: str, listed: Callable[[], Load]) -> list[Load]:
    """Return the loads that ran entirely during a rebuild."""
    client = HTTPConnection(urlsplit(url).netloc)
    try:
        client.request("POST", "/api/projections/rebuild", body=b"{}", headers=JSON)
        answer = client.getresponse()
        if answer.status != 202:
            raise BenchmarkError(f"the rebuild was answered {answer.status}: {answer.read()!r}")
        answer.read()
        loads = [listed()]
        while building(client):
            loads.append(listed())
        return loads[:-1] or loads
    finally:
        client.close()


JSON: Final = {"Content-Type": "application/json"}


def building(client: HTTPConnection) -> Any:
    return get(client, "/api/projections")["building"]


@click.command()
@click.option("--assets", type=click.IntRange(20_000), default=1_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, help="How often each way is taken.")
@click.option("--seconds", type=click.IntRange(1), default=5, help="Length of a turn of lists.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Keep the data here.")
def main(assets: int, rounds: int, seconds: int, folder: Path | None) -> None:
    """Make tables from a log of many assets in every way, and print what they cost."""
    with (
        tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-") as temporary,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        scratch, kept = Path(temporary), folder or Path(temporary)
        about = disk(scratch) | machine()
        big = ledger(kept, assets, progress)
        compare(big / "ledger.db", scratch)
        makings = make(big / "ledger.db", scratch, rounds, progress)
        result = beside(big, assets, seconds)
    Console(width=110).print(table(makings))
    click.echo(result)
    click.echo(" · ".join(f"{name} {value}" for name, value in about.items()))


if __name__ == "__main__":
    main()
