"""Durable uploads of 4 KiB against the write floor, in turns on the same disk.

Promise: a ratio is printed only if every upload was answered 2xx and the log has at least as many
events as acknowledged uploads, and at most as many as sent ones.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click
import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.load import Load, uploads
from benchmarks.machine import BenchmarkError, disk, machine
from benchmarks.servers import Server, floor_command, product_command, serving
from benchmarks.turns import CELLS, Turns, cells

BARS: Final = {16: 1.0, 64: 1.2}
WARM_UP_SECONDS: Final = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """The options: each round runs floor and product once with each number of connections."""

    connections: tuple[int, ...]
    rounds: int
    seconds: int
    keys: bool

    def load(self, connections: int, seconds: int | None = None) -> partial[Load]:
        seconds = seconds or self.seconds
        return partial(uploads, connections=connections, seconds=seconds, keys=self.keys)


@contextmanager
def both_servers(folder: Path) -> Iterator[tuple[Server, Server]]:
    files = folder / "floor"
    files.mkdir()
    with ExitStack() as stack:
        floor = stack.enter_context(serving("floor", floor_command("write", str(files))))
        product = stack.enter_context(serving("product", product_command(folder / "product")))
        yield floor, product


def measure(folder: Path, plan: Plan, progress: Progress) -> Turns:
    """Run the plan, then check the log of the product."""
    turns = Turns()
    with both_servers(folder) as servers:
        warm = [warm_up(server, plan) for server in servers]
        bar = progress.add_task("uploading", total=plan.rounds * len(plan.connections))
        for _ in range(plan.rounds):
            for connections in plan.connections:
                for server in servers:
                    turns.take(server, str(connections), plan.load(connections))
                progress.advance(bar)
    check_log(folder / "product" / "ledger.db", [warm[1], *loads_of("product", turns)])
    return turns


def warm_up(server: Server, plan: Plan) -> Load:
    return plan.load(max(plan.connections), WARM_UP_SECONDS)(server.url)


def loads_of(server: str, turns: Turns) -> list[Load]:
    return [turn.load for turn in turns.taken if turn.server == server]


def check_log(database: Path, loads: list[Load]) -> None:
    """Raise BenchmarkError unless acknowledged uploads <= events <= sent uploads.

    Requests that were unanswered at the end of a run of wrk may be recorded or not.
    """
    events = count_created(database)
    acknowledged, sent = sum(load.acknowledged for load in loads), sum(load.sent for load in loads)
    if not acknowledged <= events <= sent:
        raise BenchmarkError(
            f"{acknowledged} uploads were acknowledged and {sent} sent, but the log holds {events}"
        )


def count_created(database: Path) -> int:
    """Return the number of events, without `ledger.opened`."""
    log = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    try:
        (events,) = log.execute("SELECT count(*) FROM stored_events").fetchone()
        return int(events) - 1
    finally:
        log.close()


def table(title: str, plan: Plan, turns: Turns) -> Table:
    grid = Table("connections", "server", *CELLS, "ratio", "bar", title=title)
    for connections in plan.connections:
        name = str(connections)
        ratio, bar = str(turns.ratio("product", "floor", name)), str(BARS.get(connections, ""))
        grid.add_row(name, "floor", *cells(turns.of("floor", name)))
        grid.add_row(name, "product", *cells(turns.of("product", name)), ratio, bar)
    return grid


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
    with tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-", dir=folder) as temporary:
        about = {**machine(), **disk(Path(temporary))}
        with Progress(console=Console(stderr=True), transient=True) as progress:
            turns = measure(Path(temporary), plan, progress)
    if as_json:
        result = {"machine": about, "plan": asdict(plan), "turns": turns.taken}
        click.echo(orjson.dumps(result))
        return
    Console(width=100).print(table("Durable uploads of 4 KiB", plan, turns))
    click.echo(" · ".join(f"{name} {value}" for name, value in about.items()))


if __name__ == "__main__":
    main()
