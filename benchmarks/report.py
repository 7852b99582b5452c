"""One report of every bar: `python -m benchmarks.report`, or `make bench`.

Promise: each figure is measured with its floor in the same run, in rounds that alternate. It writes
`report.md`, `report.json`, `bars.svg` and `rounds.svg`.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import orjson
from rich.console import Console
from rich.progress import Progress

from benchmarks import large, pages, rebuild, standing, uploads
from benchmarks.bench import Bench, Sizes
from benchmarks.machine import disk, machine
from benchmarks.plots import draw_bars, draw_rounds
from benchmarks.profiles import profile
from benchmarks.rows import Row, table
from benchmarks.servers import stop_servers_on_sigterm

MEASURES: Final[Mapping[str, Callable[[Bench], list[Row]]]] = {
    "uploads": uploads.rows,
    "large": large.rows,
    "rebuild": rebuild.rows,
    "pages": pages.rows,
    "hot": pages.hot_rows,
    "standing": standing.rows,
    "mixed": uploads.mixed_rows,
}
"""In this order: the mixed load adds to the ledger of many assets."""

DEFAULTS: Final = Sizes()


@contextmanager
def benching(folder: Path | None, sizes: Sizes) -> Iterator[tuple[Bench, dict[str, str]]]:
    """Yield a bench in a temporary folder on a disk, and what is known of the machine."""
    with (
        tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-", dir=folder) as temporary,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        about = {**machine(), **disk(Path(temporary))}
        yield Bench(Path(temporary), sizes, progress), about


def measured(bench: Bench, only: Sequence[str]) -> dict[str, list[Row]]:
    """Measure, print each row as it comes, and return the rows of each measure."""
    rows: dict[str, list[Row]] = {}
    for name, measure in MEASURES.items():
        if only and name not in only:
            continue
        start = time.monotonic()
        rows[name] = measure(bench)
        for row in rows[name]:
            bench.say(" | ".join(row.cells()))
        bench.say(f"{name}: {time.monotonic() - start:.0f} s")
    return rows


def profiles(bench: Bench, rows: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """Return a profile for each measure that misses a bar."""
    missed = [name for name, found in rows.items() if any(row.missed for row in found)]
    return {name: profile(bench, name) for name in missed}


def write(into: Path, name: str, document: Mapping[str, object], text: str) -> None:
    """Write the report as Markdown and as JSON."""
    (into / f"{name}.md").write_text(text, "utf-8")
    (into / f"{name}.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def listed(about: Mapping[str, str]) -> str:
    return " · ".join(f"{name} {value}" for name, value in about.items())


@click.command()
@click.option("--assets", type=click.IntRange(20_000), default=DEFAULTS.assets, show_default=True)
@click.option("--few", type=click.IntRange(10_000), default=DEFAULTS.few, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=DEFAULTS.rounds, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=DEFAULTS.seconds, help="Of a turn.")
@click.option("--sustained", type=click.IntRange(1), default=60, help="Seconds without a pause.")
@click.option("--large", type=click.IntRange(1), default=DEFAULTS.large, help="MiB of a file.")
@click.option("--only", type=click.Choice([*MEASURES]), multiple=True, help="Measure only this.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="A disk to measure.")
@click.option("--into", type=click.Path(path_type=Path), default="bench", show_default=True)
def main(only: Sequence[str], folder: Path | None, into: Path, **sizes: int) -> None:
    """Measure every bar, and write the report."""
    stop_servers_on_sigterm()
    into.mkdir(exist_ok=True)
    start = time.monotonic()
    with benching(folder, Sizes(**sizes)) as (bench, about):
        by_measure = measured(bench, only)
        bounds = profiles(bench, by_measure)
    about |= {"took": f"{(time.monotonic() - start) / 60:.0f} min"}
    rows = [row for found in by_measure.values() for row in found]
    draw_bars([row for row in rows if row.bar is not None], into / "bars.svg")
    draw_rounds(rows, into / "rounds.svg")
    document = {"machine": about, "sizes": sizes, "rows": [row.document() for row in rows]}
    write(into, "report", document | {"profiles": bounds}, text_of(about, rows, bounds))
    click.echo(into / "report.md")


def text_of(about: Mapping[str, str], rows: Sequence[Row], bounds: Mapping[str, str]) -> str:
    """Return the page of a report."""
    pictures = "![Multiples of the bars](bars.svg)\n\n![Round by round](rounds.svg)"
    parts = ["# Benchmarks", listed(about), table(rows), pictures]
    for name, found in bounds.items():
        parts.append(f"## What bounds {name}\n\n```\n{found}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
