"""How each bar's figure grows with the ledger: `python -m benchmarks.slopes`, or `make slopes`.

It takes hours: ten million assets alone need some 30 GB and an hour. It writes `slopes.md`,
`slopes.json` and `slopes.svg`, anew after each size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final

import click

from benchmarks.plots import draw_slopes
from benchmarks.report import DEFAULTS, MEASURES, benching, listed, measured, write
from benchmarks.rows import Row, markdown, shown

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)

Found = dict[str, dict[int, Row]]


def by_size(found: Found, sizes: Sequence[int]) -> str:
    """Return a table of the medians at each size."""
    rows = [
        [what, *(shown(by[size].measured, by[size].unit) if size in by else "" for size in sizes)]
        for what, by in found.items()
    ]
    return markdown(["what", *(f"{size:,}" for size in sizes)], rows)


def text_of(about: Mapping[str, str], found: Found, sizes: Sequence[int]) -> str:
    picture = "![Medians over the number of assets](slopes.svg)"
    return f"# Slopes\n\n{listed(about)}\n\n{by_size(found, sizes)}\n\n{picture}\n"


@click.command()
@click.option("--size", "sizes", type=click.IntRange(10_000), multiple=True, default=SIZES)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--only", type=click.Choice([*MEASURES]), multiple=True, help="Measure only this.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="A disk to measure.")
@click.option("--into", type=click.Path(path_type=Path), default="bench", show_default=True)
def main(
    sizes: Sequence[int], rounds: int, only: Sequence[str], folder: Path | None, into: Path
) -> None:
    """Measure every bar at each size, and write the slopes."""
    into.mkdir(exist_ok=True)
    found: Found = {}
    for size in sizes:
        given = replace(DEFAULTS, assets=size, rounds=rounds, sustained=20)
        with benching(folder, given) as (bench, about):
            bench.into_many = True
            for row in chain(*measured(bench, only).values()):
                found.setdefault(row.what, {})[size] = row
        medians = {what: {n: row.measured for n, row in by.items()} for what, by in found.items()}
        draw_slopes(medians, into / "slopes.svg")
        rows = {
            what: {str(n): row.document() for n, row in by.items()} for what, by in found.items()
        }
        write(into, "slopes", {"machine": about, "rows": rows}, text_of(about, found, sizes))
        click.echo(into / "slopes.md")


if __name__ == "__main__":
    main()
