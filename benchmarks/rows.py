"""The rows of a report: what was measured against its bar, one value for each round."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `most`: the bar and the aim are the most that is allowed, else the least.

    `bar` is None for a figure without one. `unit` is empty for a ratio. `at` is the size of the
    ledger, in assets. `beside` has what the figure was made from, a value for each round.
    """

    what: str
    values: Sequence[float]
    bar: float | None
    aim: float | None = None
    unit: str = ""
    most: bool = False
    at: int | None = None
    beside: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.what if self.at is None else f"{self.what}, {self.at:,} assets"

    @property
    def measured(self) -> float:
        return median(self.values)

    @property
    def missed(self) -> float:
        """By which part of the bar it is missed; 0 if it is kept, or if there is none."""
        if self.bar is None:
            return 0.0
        over = self.measured / self.bar - 1
        return max(0.0, over if self.most else -over)

    @property
    def worth(self) -> list[float]:
        """The values as multiples of the bar: 1 is the bar, and more is better."""
        assert self.bar is not None
        return [self.bar / each if self.most else each / self.bar for each in self.values]

    def document(self) -> dict[str, Any]:
        """Return the row as JSON."""
        spread = {"median": self.measured, "lowest": min(self.values), "highest": max(self.values)}
        limits = {"bar": self.bar, "aim": self.aim, "most": self.most, "missed": self.missed}
        made = {"values": list(self.values), "beside": dict(self.beside)}
        return {"what": self.what, "at": self.at, "unit": self.unit, **limits, **spread, **made}

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        sign = "at most" if self.most else "at least"
        bar = "" if self.bar is None else f"{sign} {shown(self.bar, self.unit)}"
        kept = "" if self.bar is None else "kept"
        aim = "" if self.aim is None else shown(self.aim, self.unit)
        spread = f"{shown(min(self.values), '')} to {shown(max(self.values), '')}"
        beside = (f"{name} {shown(median(each), '')}" for name, each in self.beside.items())
        return [
            self.title,
            bar,
            aim,
            f"{shown(self.measured, self.unit)} ({spread}, {count_of(self.values)})",
            f"**{self.missed:.0%}**" if self.missed else kept,
            "; ".join(beside),
        ]


HEAD = ("what", "bar", "aim", "median (lowest to highest)", "misses the bar by", "made from")


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table of Markdown."""
    return markdown(HEAD, [row.cells() for row in rows])


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def shown(value: float, unit: str) -> str:
    """Return a number with three digits, and its unit."""
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def count_of(values: Sequence[float]) -> str:
    """Return how many rounds there were."""
    return "1 round" if len(values) == 1 else f"{len(values)} rounds"
