"""Durable uploads of 4 KiB against the write floor, in turns on the same disk.

Promise: a ratio is printed only if every upload was answered 2xx and, on the stopped folder,
the log holds no fewer facts than uploads were acknowledged and no more than were sent.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.figures import BenchmarkError, Fsync, Ratio, disk, machine, ratio
from benchmarks.load import Load, uploads
from benchmarks.servers import Server, floor_command, product_command, serving

BARS = {16: 1.0, 64: 1.2}
WARM_UP_SECONDS = 1
COLUMNS = ("connections", "server", "uploads/s", "p50 ms", "p99 ms", "CPU us", "ratio", "bar")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: at each number of connections, `rounds` times the floor and then the product."""

    connections: tuple[int, ...]
    rounds: int
    seconds: int
    keys: bool

    def turns(self) -> Iterator[int]:
        for _ in range(self.rounds):
            yield from self.connections


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of the load against one server."""

    server: str
    connections: int
    load: Load
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that was measured, for the table and for `--json`."""

    machine: dict[str, str]
    fsync_us: Fsync
    plan: Plan
    turns: list[Turn]
    ratios: dict[int, Ratio]


def take_turn(server: Server, plan: Plan, connections: int) -> Turn:
    # Pages that the floor left unwritten would otherwise be paid by the product's next fsync.
    os.sync()
    before = server.cpu_seconds()
    load = uploads(server.url, connections=connections, seconds=plan.seconds, keys=plan.keys)
    spent = server.cpu_seconds() - before
    return Turn(server.name, connections, load, spent / load.acknowledged * 1e6)


@contextmanager
def both_servers(folder: Path) -> Iterator[tuple[Server, Server]]:
    files = folder / "floor"
    files.mkdir()
    with ExitStack() as stack:
        floor = stack.enter_context(serving("floor", floor_command("write", str(files))))
        product = stack.enter_context(serving("product", product_command(folder / "product")))
        yield floor, product


def measure(folder: Path, plan: Plan, progress: Progress) -> list[Turn]:
    """Run the plan, then check the product's log against what it acknowledged."""
    warm_up = Plan(plan.connections, 1, WARM_UP_SECONDS, plan.keys)
    with both_servers(folder) as servers:
        warm = [take_turn(server, warm_up, n) for n in warm_up.turns() for server in servers]
        bar = progress.add_task("uploading", total=2 * plan.rounds * len(plan.connections))
        turns = []
        for connections in plan.turns():
            for server in servers:
                turns.append(take_turn(server, plan, connections))
                progress.advance(bar)
    check_log(folder / "product" / "ledger.db", [turn.load for turn in of("product", warm + turns)])
    return turns


def check_log(database: Path, loads: list[Load]) -> None:
    """Every acknowledged upload is a fact; nothing is a fact that nobody sent.

    What wrk had sent but not yet seen answered when its time was up lies between the two.
    """
    facts = count_created(database)
    acknowledged, sent = sum(load.acknowledged for load in loads), sum(load.sent for load in loads)
    if not acknowledged <= facts <= sent:
        raise BenchmarkError(
            f"{acknowledged} uploads were acknowledged and {sent} sent, but the log holds {facts}"
        )


def count_created(database: Path) -> int:
    """Facts of the log besides its first, `ledger.opened`."""
    log = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    try:
        (facts,) = log.execute("SELECT count(*) FROM stored_events").fetchone()
        return int(facts) - 1
    finally:
        log.close()


def of(name: str, turns: list[Turn], connections: int | None = None) -> list[Turn]:
    return [t for t in turns if t.server == name and connections in (None, t.connections)]


def rates(name: str, turns: list[Turn], connections: int) -> list[float]:
    return [turn.load.rate for turn in of(name, turns, connections)]


def compare(turns: list[Turn], plan: Plan) -> dict[int, Ratio]:
    return {
        n: ratio(rates("product", turns, n), rates("floor", turns, n)) for n in plan.connections
    }


def table(result: Result) -> Table:
    title = f"Durable uploads of 4 KiB, fsync {result.fsync_us.median:.0f} us"
    columns = (
        "connections",
        "server",
        "uploads/s",
        "p50 ms",
        "p99 ms",
        "CPU us each",
        "ratio",
        "bar",
    )
    grid = Table(*columns, title=title)
    for connections, measured in result.ratios.items():
        bar = f"{BARS[connections]:.1f}" if connections in BARS else ""
        for name, shown in (("floor", ("", "")), ("product", (str(measured), bar))):
            grid.add_row(
                str(connections), name, *medians(of(name, result.turns, connections)), *shown
            )
    return grid


def medians(turns: list[Turn]) -> list[str]:
    return [
        f"{median(turn.load.rate for turn in turns):,.0f}",
        f"{median(turn.load.p50_ms for turn in turns):.1f}",
        f"{median(turn.load.p99_ms for turn in turns):.1f}",
        f"{median(turn.cpu_us for turn in turns):.0f}",
    ]


@click.command()
@click.option("--connections", type=click.IntRange(1), multiple=True, default=tuple(BARS))
@click.option("--rounds", type=click.IntRange(1), default=5, help="Turns of each server.")
@click.option("--seconds", type=click.IntRange(1), default=5, help="Length of a turn.")
@click.option("--keys", is_flag=True, help="Send an Idempotency-Key with every upload.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="A disk to measure.")
@click.option("--json", "as_json", is_flag=True, help="Print every turn as JSON.")
def main(
    connections: tuple[int, ...],
    rounds: int,
    seconds: int,
    keys: bool,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Upload to the floor and to the product in turns, and print the ratio."""
    plan = Plan(connections, rounds, seconds, keys)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-", dir=folder) as temporary:
        about, fsync = machine(), disk(Path(temporary))
        with Progress(console=console, transient=True) as progress:
            turns = measure(Path(temporary), plan, progress)
    result = Result(about, fsync, plan, turns, compare(turns, plan))
    if as_json:
        click.echo(orjson.dumps(asdict(result), option=orjson.OPT_NON_STR_KEYS))
    else:
        Console().print(table(result))
        click.echo(" · ".join(f"{name} {value}" for name, value in about.items()))


if __name__ == "__main__":
    main()
