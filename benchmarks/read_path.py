"""Pages of 50 by job, node and workflow: a million assets against the floor and ten thousand.

Promise: the product and the floor answer the same pages, in turns, from the same file.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click
import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.crawl import Page, crawl, write_paths
from benchmarks.fill import fill, names
from benchmarks.load import Load, pages
from benchmarks.machine import machine
from benchmarks.servers import Server, floor_command, product_command, serving
from benchmarks.turns import CELLS, Turns, cells

TAGS: Final = ("job", "node", "workflow")
READERS: Final = 4
"""Connections that the product reads with. The floor has as many."""
FLOOR, MANY, FEW = "floor", "product", "product, few assets"
BARS: Final = {FLOOR: 0.85, FEW: 0.8}


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of one run."""

    assets: int
    few: int
    connections: int
    rounds: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and for each tag the file with the paths to request."""

    server: Server
    paths: dict[str, Path]


def ledger(folder: Path, assets: int, progress: Progress) -> Path:
    """Return the folder of a ledger of this size. Makes it if it does not exist."""
    data_dir = folder / f"ledger-{assets}"
    if not data_dir.exists():
        fill(data_dir, assets, progress)
    return data_dir


@contextmanager
def targets(folder: Path, plan: Plan, progress: Progress) -> Iterator[list[Target]]:
    """Start the three servers. The product builds its tables before it listens."""
    many, few = (ledger(folder, assets, progress) for assets in (plan.assets, plan.few))
    with ExitStack() as stack:
        serve = partial(started, stack, progress)
        big, small = serve(MANY, product_command(many)), serve(FEW, product_command(few))
        tables = max(many.glob("projections.g*[0-9].db"))
        floor = serve(FLOOR, floor_command("read", str(tables), "--readers", str(READERS)))
        big_pages, small_pages = walked(big, plan.assets), walked(small, plan.few)
        yield [
            Target(floor, files(folder, FLOOR, {t: [p.floor for p in big_pages[t]] for t in TAGS})),
            Target(big, files(folder, MANY, {t: [p.product for p in big_pages[t]] for t in TAGS})),
            Target(
                small, files(folder, FEW, {t: [p.product for p in small_pages[t]] for t in TAGS})
            ),
        ]


def started(stack: ExitStack, progress: Progress, name: str, command: list[str]) -> Server:
    start = time.monotonic()
    server = stack.enter_context(serving(name, command))
    progress.console.print(f"{name}: ready after {time.monotonic() - start:.1f} s")
    return server


def walked(server: Server, assets: int) -> dict[str, list[Page]]:
    return {tag: crawl(server.url, tag, names(tag, assets)) for tag in TAGS}


def files(folder: Path, name: str, paths: dict[str, list[str]]) -> dict[str, Path]:
    return {tag: write_paths(folder / f"{name}-{tag}.paths", paths[tag]) for tag in TAGS}


def measure(folder: Path, plan: Plan, progress: Progress) -> Turns:
    turns = Turns()
    with targets(folder, plan, progress) as servers:
        bar = progress.add_task("reading pages", total=plan.rounds * len(TAGS))
        for _ in range(plan.rounds):
            for tag in TAGS:
                for target in servers:
                    turns.take(target.server, tag, load(target, tag, plan))
                progress.advance(bar)
    return turns


def load(target: Target, tag: str, plan: Plan) -> partial[Load]:
    paths = target.paths[tag]
    return partial(pages, paths=paths, connections=plan.connections, seconds=plan.seconds)


def table(plan: Plan, turns: Turns) -> Table:
    title = f"Pages of 50 from {plan.assets:,} assets, {plan.connections} connections"
    grid = Table("list by", "server", *CELLS, "product over it", "bar", title=title)
    for tag in TAGS:
        grid.add_row(tag, MANY, *cells(turns.of(MANY, tag)))
        for base, bar in BARS.items():
            ratio = str(turns.ratio(MANY, base, tag))
            grid.add_row(tag, base, *cells(turns.of(base, tag)), ratio, str(bar))
    return grid


@click.command()
@click.option("--assets", type=click.IntRange(1_000), default=1_000_000, show_default=True)
@click.option("--few", type=click.IntRange(1_000), default=10_000, show_default=True)
@click.option("--connections", type=click.IntRange(1), default=16, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, help="Turns of each server and list.")
@click.option("--seconds", type=click.IntRange(1), default=3, help="Length of a turn.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Keep the data here.")
@click.option("--json", "as_json", is_flag=True, help="Print every turn as JSON.")
def main(
    assets: int,
    few: int,
    connections: int,
    rounds: int,
    seconds: int,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Read pages from the floor and from the product in turns, and print the ratios."""
    plan = Plan(assets, few, connections, rounds, seconds)
    with (
        tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-") as temporary,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        turns = measure(folder or Path(temporary), plan, progress)
    about = machine()
    if as_json:
        click.echo(orjson.dumps({"machine": about, "plan": plan, "turns": turns.taken}))
        return
    Console(width=100).print(table(plan, turns))
    click.echo(" · ".join(f"{name} {value}" for name, value in about.items()))


if __name__ == "__main__":
    main()
