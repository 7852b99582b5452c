"""Text tables on standard output."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(title: str | None, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under headings; None is an empty cell. A pipe gets each row as one line."""
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    shown = None if title is None else Text(title)
    table = Table(title=shown, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading == "id")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console.print(table)
