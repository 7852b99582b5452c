"""The plots of a report, as SVG."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.rows import Row

COLUMNS: Final = 3
OTHER_UNITS: Final = ("us of CPU", "peak MiB", "log GB")
"""What stands beside a ratio without being a part of it."""


def draw_bars(rows: Sequence[Row], path: Path) -> None:
    """Draw each row as a multiple of its bar: a dot for each round, a line for the median."""
    figure = Figure(figsize=(11, 1 + 0.4 * len(rows)), layout="tight")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        colour = "tab:red" if row.missed else "tab:green"
        axes.plot(row.worth, [place] * len(row.values), "o", color=colour, alpha=0.5)
        axes.plot([median(row.worth)], [place], "|", color=colour, ms=18)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [row.title for row in reversed(rows)])
    axes.set_xscale("log")
    axes.set_xlabel("multiple of the bar: right of the line is better")
    figure.savefig(path)


def draw_rounds(rows: Sequence[Row], path: Path) -> None:
    """Draw what each row was made from, round by round."""
    several = [row for row in rows if len(row.values) > 1]
    figure, panels = grid([row.title for row in several])
    for axes, row in zip(panels, several, strict=True):
        for name, values in lines_of(row).items():
            axes.plot(range(1, len(values) + 1), values, ".-", label=name)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=6)
    figure.savefig(path)


def lines_of(row: Row) -> dict[str, Sequence[float]]:
    """Return the lines of one unit: those that a ratio was made from, or the values themselves."""
    own = {f"{row.what} {row.unit}": row.values} if row.unit else {}
    beside = {name: each for name, each in row.beside.items() if name not in OTHER_UNITS}
    return {**own, **beside}


def draw_slopes(slopes: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Draw the median of each row over the number of assets."""
    figure, panels = grid([*slopes])
    for axes, found in zip(panels, slopes.values(), strict=True):
        axes.plot([*found], [*found.values()], ".-")
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
    figure.savefig(path)


def grid(titles: Sequence[str]) -> tuple[Figure, Iterator[Axes]]:
    """Return a figure with a panel for each title."""
    lines = -(-len(titles) // COLUMNS) or 1
    figure = Figure(figsize=(14, 2.6 * lines), layout="tight")
    places = [figure.add_subplot(lines, COLUMNS, n + 1) for n in range(len(titles))]
    for axes, title in zip(places, titles, strict=True):
        axes.set_title(title, fontsize=7)
        axes.tick_params(labelsize=6)
    return figure, iter(places)
