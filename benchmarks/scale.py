"""A ledger in PostgreSQL against the same SQL by psycopg alone: `python -m benchmarks.scale`.

Promise: PostgreSQL waits for its disk (fsync), and a ratio is one of neighbouring turns. Each row
is printed and written as it is measured, into `scale.md` and `scale.json`.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from benchmarks import postgres_groups, postgres_sizes
from benchmarks.durable import Scale, durable
from benchmarks.load import uploads
from benchmarks.machine import disk, machine
from benchmarks.report import listed, write
from benchmarks.rows import Row, table
from benchmarks.servers import product_command, serving, stat_of, stop_servers_on_sigterm
from benchmarks.slopes import Found, by_size
from tests.journeys.processes import children_of

PROCESSES: Final = (1, 2, 4)
COMMITTERS: Final = ("process", "thread")


def served(scale: Scale) -> Iterator[Row]:
    """Measure uploads a second over HTTP with 1, 2 and 4 processes."""
    for kind in COMMITTERS:
        for processes in PROCESSES:
            yield _served(scale, processes, kind)


def _served(scale: Scale, processes: int, kind: str) -> Row:
    with (
        scale.server.database() as url,
        tempfile.TemporaryDirectory(dir=scale.scratch) as place,
    ):
        flags = ["--database-url", url, "--content-url", f"{place}/store"]
        flags += ["--processes", str(processes), "--committer", kind]
        with serving("product", product_command(Path(place) / "data", *flags)) as product:
            uploads(product.url, connections=64, seconds=3)
            busy = -cpu_of(product.pid)
            load = uploads(product.url, connections=64, seconds=scale.seconds)
            busy += cpu_of(product.pid)
    what = f"uploads, processes: {processes}, commits in a {kind}"
    beside = {"p99 ms": [load.p99_ms], "us of CPU": [busy / load.acknowledged * 1e6]}
    return Row(what, [load.rate], None, unit="uploads/s", beside=beside)


def cpu_of(pid: int) -> float:
    """Return the processor time in s of a process and of all that it started."""
    times = stat_of(Path(f"/proc/{pid}/stat"))
    own = (int(times["utime"]) + int(times["stime"])) / os.sysconf("SC_CLK_TCK")
    return own + sum(map(cpu_of, children_of(pid)))


MEASURES: Final[Mapping[str, Callable[[Scale], Iterator[Row]]]] = {
    "groups": postgres_groups.rows,
    "servers": served,
    "sizes": postgres_sizes.rows,
}


def text_of(about: Mapping[str, str], rows: Sequence[Row], sizes: Sequence[int]) -> str:
    """Return the page of a run."""
    found: Found = {}
    for row in rows:
        if row.at is not None:
            found.setdefault(row.what, {})[row.at] = row
    parts = ["# Past one machine", listed(about), table(rows), by_size(found, sizes)]
    return "\n\n".join(parts) + "\n"


@click.command()
@click.option(
    "--assets",
    "sizes",
    type=click.IntRange(1_000),
    multiple=True,
    default=(10_000, 1_000_000),
    help="The size of a ledger. Repeat it: each size is also compared with the first.",
)
@click.option("--rounds", type=click.IntRange(1), default=5, help="Turns of each side.")
@click.option("--events", type=click.IntRange(100), default=20_000, help="Events of a turn.")
@click.option("--seconds", type=click.IntRange(1), default=10, help="Length of a turn of reads.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="A disk to measure.")
@click.option("--only", type=click.Choice([*MEASURES]), multiple=True, help="Measure only this.")
@click.option("--into", type=click.Path(path_type=Path), default="bench", show_default=True)
def main(
    sizes: Sequence[int],
    rounds: int,
    events: int,
    seconds: int,
    folder: Path | None,
    only: Sequence[str],
    into: Path,
) -> None:
    """Measure group commits, servers, pages and rebuilds on a PostgreSQL of its own."""
    stop_servers_on_sigterm()
    into.mkdir(exist_ok=True)
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-", dir=folder) as place,
        durable(Path(place)) as server,
    ):
        about = {**machine(), **disk(Path(place))}
        scale = Scale(server, Path(place), sizes, rounds, events, seconds)
        for measure in (MEASURES[name] for name in only or MEASURES):
            for row in measure(scale):
                rows.append(row)
                click.echo(" | ".join(row.cells()))
                document = {"machine": about, "rows": [each.document() for each in rows]}
                write(into, "scale", document, text_of(about, rows, sizes))
    click.echo(into / "scale.md")


if __name__ == "__main__":
    main()
