"""Compare this checkout with another commit: `python -m benchmarks.compare COMMIT`.

Both run with the packages of this environment, on data folders of their own.
Promise: the rounds alternate, and each begins with the side that the last one ended with. It writes
`compare.md` and `compare.json`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import click

from benchmarks.bench import Bench, Sizes
from benchmarks.crawl import crawl, write_paths
from benchmarks.fill import names
from benchmarks.load import Load, pages, uploads
from benchmarks.machine import BenchmarkError
from benchmarks.report import benching, listed, write
from benchmarks.rows import markdown, shown
from benchmarks.servers import serving
from benchmarks.turns import Turns, alternating, divided

HERE: Final = Path(__file__).parents[1]
PROGRAM: Final = "from asset_ledger.api.cli import main; main()"
BASE, HEAD = "base", "here"
SIDES: Final = (BASE, HEAD)
TAGS: Final = ("job", "node", "workflow")

Values = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Checkout:
    """One side: its name, its sources, and its data folder."""

    name: str
    source: Path
    data_dir: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.source)}

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs `asset-ledger` from these sources."""
        return [sys.executable, "-P", "-c", PROGRAM, *arguments]

    def serve(self) -> list[str]:
        return self.command("serve", "--port", "0", "--data-dir", str(self.data_dir))

    def fill(self, assets: int) -> None:
        """Make the data folder with the benchmark's code of these sources."""
        fill = [
            sys.executable,
            "-m",
            "benchmarks.fill",
            str(self.data_dir),
            "--assets",
            f"{assets}",
        ]
        subprocess.run(fill, cwd=self.source, env=self.environment, check=True)

    def check(self) -> None:
        """Raise BenchmarkError unless the product comes from these sources."""
        probe = [sys.executable, "-P", "-c", "import asset_ledger; print(asset_ledger.__file__)"]
        found = subprocess.run(probe, env=self.environment, stdout=-1, text=True, check=True).stdout
        if not found.startswith(str(self.source)):
            raise BenchmarkError(f"{self.name} runs {found.strip()}, not {self.source}")

    def timed(self, *arguments: str) -> float:
        """Return the seconds that a command takes."""
        start = time.perf_counter()
        command = self.command(*arguments)
        subprocess.run(command, env=self.environment, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of both sides, a value for each round. `most`: less is better."""

    what: str
    unit: str
    most: bool = True
    values: Values = field(default_factory=lambda: {side: [] for side in SIDES})

    @property
    def gains(self) -> list[float]:
        """How much better this checkout is in each round: 1 is the same."""
        sides = (BASE, HEAD) if self.most else (HEAD, BASE)
        return divided(*(self.values[side] for side in sides))

    def cells(self) -> list[str]:
        gains = sorted(self.gains)
        spread = f"{median(gains):.3f} ({gains[0]:.3f} to {gains[-1]:.3f})"
        return [self.what, *(shown(median(self.values[each]), self.unit) for each in SIDES), spread]

    def document(self) -> Mapping[str, object]:
        return {"what": self.what, "unit": self.unit, "values": self.values, "gains": self.gains}


@contextmanager
def checkouts(commit: str, bench: Bench) -> Iterator[list[Checkout]]:
    """Yield both sides with filled data folders; the other commit is in a temporary work tree."""
    source = bench.folder / "source"
    git = ["git", "-C", str(HERE), "worktree"]
    subprocess.run([*git, "add", "--detach", "--quiet", str(source), commit], check=True)
    try:
        sides = [
            Checkout(BASE, source, bench.folder / "base"),
            Checkout(HEAD, HERE, bench.folder / "here"),
        ]
        for side in sides:
            side.check()
            side.fill(bench.sizes.assets)
        yield sides
    finally:
        subprocess.run([*git, "remove", "--force", str(source)], check=True)


def rebuilds(bench: Bench, sides: Sequence[Checkout]) -> list[Compared]:
    """Compare commands that need the folder for themselves."""
    work: Mapping[str, Callable[[Checkout], float]] = {
        f"rebuild of {bench.sizes.assets:,} assets": lambda side: side.timed(
            "rebuild", "--data-dir", str(side.data_dir)
        ),
        f"start with {bench.sizes.assets:,} assets": started,
        "asset-ledger --help": lambda side: side.timed("--help"),
    }
    rows = [Compared(what, "s") for what in work]
    for row in rows:
        for side in alternating(bench.sizes.rounds, sides):
            row.values[side.name].append(work[row.what](side))
    return rows


def started(side: Checkout) -> float:
    start = time.perf_counter()
    with serving(side.name, side.serve(), side.environment):
        return time.perf_counter() - start


def loads(bench: Bench, sides: Sequence[Checkout]) -> list[Compared]:
    """Compare servers under load: their rates, and their time of a processor for each answer."""
    turns = Turns()
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serving(side.name, side.serve(), side.environment))
            for side in sides
        ]
        for name, load_of in loads_of(bench).items():
            ready = {server.name: load_of(server.name, server.url) for server in servers}
            for server in alternating(bench.sizes.rounds, servers):
                turns.take(server, name, ready[server.name])
            bench.say(name)
    return [row for name in loads_of(bench) for row in of_load(turns, name)]


def loads_of(bench: Bench) -> dict[str, Callable[[str, str], Callable[[str], Load]]]:
    """Return by name the functions that take a side and its address, and prepare a load."""
    seconds = bench.sizes.seconds

    def reading(tag: str) -> Callable[[str, str], Callable[[str], Load]]:
        def prepare(side: str, url: str) -> Callable[[str], Load]:
            found = crawl(url, tag, names(tag, bench.sizes.assets))
            paths = [page.product for page in found]
            file = write_paths(bench.folder / f"{side}-{tag}.paths", paths)
            return partial(pages, paths=file, connections=16, seconds=seconds)

        return prepare

    def uploading(connections: int) -> Callable[[str, str], Callable[[str], Load]]:
        return lambda *_: partial(uploads, connections=connections, seconds=seconds)

    return {
        **{f"pages of 50 by {tag}": reading(tag) for tag in TAGS},
        **{f"uploads of 4 KiB, {each} connections": uploading(each) for each in (1, 16, 64)},
    }


def of_load(turns: Turns, name: str) -> list[Compared]:
    """Return the rates, the times of a processor, and the p99 of one load."""
    rate, cpu = Compared(name, "/s", most=False), Compared(f"{name}: CPU of an answer", "us")
    tail = Compared(f"{name}: p99", "ms")
    for side in SIDES:
        taken = turns.of(side, name)
        rate.values[side] += [turn.load.rate for turn in taken]
        cpu.values[side] += [turn.cpu_us for turn in taken]
        tail.values[side] += [turn.load.p99_ms for turn in taken]
    return [rate, cpu, tail]


@click.command()
@click.argument("commit")
@click.option("--assets", type=click.IntRange(20_000), default=100_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=8, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=2, help="Of a turn.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="A disk to measure.")
@click.option("--into", type=click.Path(path_type=Path), default="bench", show_default=True)
def main(commit: str, folder: Path | None, into: Path, **sizes: int) -> None:
    """Measure this checkout and COMMIT in turns."""
    into.mkdir(exist_ok=True)
    with benching(folder, Sizes(**sizes)) as (bench, about), checkouts(commit, bench) as sides:
        rows = [*rebuilds(bench, sides), *loads(bench, sides)]
    head = ("what", f"{commit}, median", "here, median", "here is better by (lowest to highest)")
    text = f"# Here against {commit}\n\n{listed(about)}\n\n"
    text += f"{markdown(head, [row.cells() for row in rows])}\n"
    document = {"machine": about, "base": commit, "rows": [row.document() for row in rows]}
    write(into, "compare", document, text)


if __name__ == "__main__":
    main()
