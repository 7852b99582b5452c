"""The plots of a report, as SVG."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.rows import Row

COLUMNS = 3


def draw_bars(rows: Sequence[Row], path: Path) -> None:
    """Draw each row as a multiple of its bar: a dot for each round, a line for the median."""
    figure = Figure(figsize=(11, 1 + 0.4 * len(rows)), layout="tight")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        colour = "tab:red" if row.missed else "tab:green"
        axes.plot(row.worth, [place] * len(row.values), "o", color=colour, alpha=0.5)
        axes.plot([sorted(row.worth)[len(row.worth) // 2]], [place], "|", color=colour, ms=18)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [row.title for row in reversed(rows)])
    axes.set_xscale("log")
    axes.set_xlabel("multiple of the bar: right of the line is better")
    figure.savefig(path)


def draw_rounds(rows: Sequence[Row], path: Path) -> None:
    """Draw what each row was made from, round by round."""
    several = [row for row in rows if max(map(len, row.beside.values()), default=0) > 1]
    figure, panels = grid([row.title for row in several])
    for axes, row in zip(panels, several, strict=True):
        for name, values in row.beside.items():
            axes.plot(range(1, len(values) + 1), values, ".-", label=name)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=6)
    figure.savefig(path)


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
