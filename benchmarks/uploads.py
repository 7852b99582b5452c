"""Durable uploads of 4 KiB: against the write floor, for a long while, and beside lists.

Promise: a rate is reported only if every upload was answered 2xx and the log has at least as many
events as acknowledged uploads, and at most as many as sent ones.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.bench import Bench
from benchmarks.crawl import crawl, write_paths
from benchmarks.fill import names
from benchmarks.load import Load, mixed, pages, uploads
from benchmarks.machine import BenchmarkError
from benchmarks.rows import Row
from benchmarks.servers import Server, floor_command, product_command, serving
from benchmarks.turns import Turns, alternating, divided

BARS: Final = {16: (1.1, 1.5), 64: (1.3, 2.0)}
"""The bar and the aim by the number of connections."""

MANY: Final = 16
"""Connections of the mixed load."""

WARM_UP: Final = 3
FLOOR, PRODUCT = "floor", "product"
LISTS, UPLOADS, MIXED = "lists", "uploads", "70 % lists and 30 % uploads"


def rows(bench: Bench) -> list[Row]:
    """Measure uploads against the floor, then for a long while without a pause."""
    folder = bench.folder / "uploads"
    data_dir = bench.many() if bench.into_many else folder / "product"
    (folder / "floor").mkdir(parents=True)
    before = count_created(data_dir / "ledger.db") if data_dir.exists() else 0
    with both_servers(folder / "floor", data_dir) as servers:
        turns, warm = short(bench, servers)
        long = {each: sustained(servers[1], each, bench.sizes.sustained) for each in BARS}
    product = [turn.load for turn in turns.taken if turn.server == PRODUCT]
    check_log(data_dir / "ledger.db", before, [*warm, *product, *long.values()])
    return [*over_floor(turns), *tails(long)]


@contextmanager
def both_servers(files: Path, data_dir: Path) -> Iterator[tuple[Server, Server]]:
    with ExitStack() as stack:
        floor = stack.enter_context(serving(FLOOR, floor_command("write", str(files))))
        product = stack.enter_context(serving(PRODUCT, product_command(data_dir)))
        yield floor, product


def short(bench: Bench, servers: tuple[Server, Server]) -> tuple[Turns, list[Load]]:
    """Return the turns, and the loads that warmed the product up."""
    turns = Turns()
    warm = [uploads(server.url, connections=64, seconds=WARM_UP) for server in servers]
    for connections in BARS:
        load = partial(uploads, connections=connections, seconds=bench.sizes.seconds)
        for server in alternating(bench.sizes.rounds, servers):
            turns.take(server, str(connections), load)
    return turns, warm[1:]


def sustained(server: Server, connections: int, seconds: int) -> Load:
    return uploads(server.url, connections=connections, seconds=seconds)


def over_floor(turns: Turns) -> list[Row]:
    return [
        Row(
            f"uploads of 4 KiB over the floor, {connections} connections",
            turns.ratios(PRODUCT, FLOOR, str(connections)),
            bar,
            aim,
            beside={f"{side}/s": turns.rates(side, str(connections)) for side in (PRODUCT, FLOOR)}
            | {"us of CPU": [turn.cpu_us for turn in turns.of(PRODUCT, str(connections))]},
        )
        for connections, (bar, aim) in BARS.items()
    ]


def tails(loads: dict[int, Load]) -> list[Row]:
    return [
        Row(
            f"p99 over p50 of uploads without a pause, {connections} connections",
            [load.p99_ms / load.p50_ms],
            bar=5,
            aim=3,
            most=True,
            beside={"p50 ms": [load.p50_ms], "p99 ms": [load.p99_ms], "uploads/s": [load.rate]},
        )
        for connections, load in loads.items()
    ]


def check_log(database: Path, before: int, loads: list[Load]) -> None:
    """Raise BenchmarkError unless acknowledged uploads <= new events <= sent uploads.

    Requests that were unanswered at the end of a run of wrk may be recorded or not.
    """
    events = count_created(database) - before
    acknowledged, sent = sum(load.acknowledged for load in loads), sum(load.sent for load in loads)
    if not acknowledged <= events <= sent:
        raise BenchmarkError(
            f"{acknowledged} uploads were acknowledged and {sent} sent, but the log has {events}"
        )


def count_created(database: Path) -> int:
    """Return the number of events, without `ledger.opened`."""
    log = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    try:
        (events,) = log.execute("SELECT count(*) FROM stored_events").fetchone()
        return int(events) - 1
    finally:
        log.close()


def mixed_rows(bench: Bench) -> list[Row]:
    """Measure lists and uploads, each alone and in one load of both, in turns."""
    turns, data_dir = Turns(), bench.many()
    with serving(PRODUCT, product_command(data_dir)) as server:
        found = crawl(server.url, "node", names("node", bench.sizes.assets)[:10])
        paths = write_paths(bench.folder / "mixed.paths", [each.product for each in found])
        seconds = bench.sizes.seconds
        loads = {
            LISTS: partial(pages, paths=paths, connections=MANY, seconds=seconds),
            UPLOADS: partial(uploads, connections=MANY, seconds=seconds),
            MIXED: partial(mixed, paths=paths, connections=MANY, seconds=seconds),
        }
        for name in alternating(bench.sizes.rounds, list(loads)):
            turns.take(server, name, loads[name])
    both = turns.rates(PRODUCT, MIXED)
    shares = ((LISTS, 0.7), (UPLOADS, 0.3))
    cpu = [
        sum(share * turns.of(PRODUCT, name)[n].cpu_us for name, share in shares)
        for n in range(len(both))
    ]
    busy = [turn.cpu_us for turn in turns.of(PRODUCT, MIXED)]
    return [
        Row(
            f"answers for each core in a load of {MIXED}, over those of both parts alone",
            divided(cpu, busy),
            bar=0.5,
            beside={"us of CPU": busy, "us of CPU alone": cpu, "all of the load/s": both},
        ),
        *(
            Row(
                f"{name} in a load of {MIXED}, over the same alone",
                divided([rate * share for rate in both], turns.rates(PRODUCT, name)),
                None,
                beside={"alone/s": turns.rates(PRODUCT, name)},
            )
            for name, share in shares
        ),
    ]
