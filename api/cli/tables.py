"""Text tables on standard output."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asset_ledger.api.cli.output import ReaderGoneError, printable


class _Console(Console):
    """A console that reports a closed pipe as `output` does. Rich would exit with code 1."""

    def on_broken_pipe(self) -> None:
        raise ReaderGoneError


def print_table(title: str | None, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under headings; None is an empty cell. A pipe gets each row as one line."""
    console = _Console() if sys.stdout.isatty() else _Console(width=10_000)
    shown = None if title is None else Text(printable(title))
    table = Table(title=shown, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading == "id")
    for row in rows:
        table.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    console.print(table)
