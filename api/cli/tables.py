"""Text tables on standard output."""

import re
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asset_ledger.api.cli.output import ReaderGoneError, echo, echo_row, printable

SHORT: Final = 19
"""Characters of a column that is not folded: a time has so many."""

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)[.\d]*Z")
_DIGEST: Final = re.compile(r"(?<=sha256:[0-9a-f]{12})[0-9a-f]{52}")


class _Console(Console):
    """A console that reports a closed pipe as `output` does. Rich would exit with code 1."""

    def on_broken_pipe(self) -> None:
        raise ReaderGoneError


def print_table(title: str | None, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under headings; None is an empty cell.

    A terminal gets a table that fits its width, with times to the second and 12 digits of a digest.
    A pipe gets each row as one line, with tabs between its cells.
    """
    rows = list(rows)  # else a refusal would come after the title
    if sys.stdout.isatty():
        _print_for_people(title, headings, [[_shown(cell) for cell in row] for row in rows])
        return
    if title is not None:
        echo(title)
        echo("")
    for row in chain([headings, ()], rows):
        echo_row(row)


def _print_for_people(
    title: str | None, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    shown = None if title is None else Text(printable(title))
    table = Table(title=shown, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.show_edge = table.pad_edge = False
    for place, heading in enumerate(headings):
        short = max((len(row[place]) for row in rows), default=0) <= SHORT
        table.add_column(heading, overflow="fold", no_wrap=short or heading == "id")
    for row in rows:
        table.add_row(*map(Text, row))
    _Console().print(table)


def _shown(cell: Any) -> str:
    text = "" if cell is None else printable(str(cell))
    return _DIGEST.sub("…", _TIME.sub(r"\1 \2", text))
