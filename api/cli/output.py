"""Write to standard output and standard error: any encoding, closed streams, hostile characters."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from io import TextIOWrapper
from typing import Any, Final

import click
import orjson

READER_GONE: Final = 141
"""The exit code when the reader of a pipe has gone: that of a program which SIGPIPE ends."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CONTROL_IN_JSON: Final = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]"
)
"""Those that JSON texts hold unescaped, in UTF-8."""


class ReaderGoneError(Exception):
    """The reader of standard output or standard error has closed it."""


def prepare() -> None:
    """Make every text writable: escape what the encoding lacks, and drop output that is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Notes:
    """Prints what happens to a command that goes on until Ctrl-C, on standard error."""

    waits_for = ""
    """The reason of the last line, if that says why the command waits."""

    def note(self, line: str) -> None:
        """Print a line."""
        self.waits_for = ""
        echo(line, err=True)

    def wait(self, reason: str) -> None:
        """Print why the command waits, unless that was the last line."""
        if reason != self.waits_for:
            echo(f"waiting: {reason}", err=True)
        self.waits_for = reason


def echo(output: str | bytes, *, err: bool = False) -> None:
    """Write one line of text, or one JSON document, with its control characters escaped.

    Raises ReaderGoneError.
    """
    if isinstance(output, str):
        _print(printable(output), err=err)
    else:
        click.echo(_CONTROL_IN_JSON.sub(_escaped, output), err=err)


class FileOutcomes:
    """Prints what became of each file: a line; with `ndjson` a JSON document; with `as_json` one
    document of all of them, at the end."""

    def __init__(self, *, as_json: bool, ndjson: bool) -> None:
        self._as_json, self._ndjson = as_json, ndjson
        self._assets: list[Mapping[str, Any]] = []

    def add(self, asset: Mapping[str, Any], line: str) -> None:
        """Print the asset of a file, or its line."""
        if self._as_json:
            self._assets.append(asset)
        elif self._ndjson:
            echo(orjson.dumps(asset))
        else:
            echo(line)

    def finish(self, counts: Mapping[str, int]) -> None:
        """Print the document of all files, with the number of each outcome."""
        if self._as_json:
            echo(orjson.dumps({"assets": self._assets, "counts": counts}))


def echo_row(cells: Iterable[Any]) -> None:
    """Write one line of cells, with tabs between them; None is an empty cell."""
    _print("\t".join("" if cell is None else printable(str(cell)) for cell in cells))


def echo_counts(counts: Mapping[str, int]) -> None:
    """Write how many files had each outcome on standard error; nothing if there are none."""
    if counts:
        echo(", ".join(f"{number:,} {outcome}" for outcome, number in counts.items()), err=True)


def printable(text: str) -> str:
    r"""Escape the characters that a terminal would obey: `\x1b[2J`, line breaks, bidi overrides."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def discard() -> None:
    """Write what is still buffered nowhere, so that the end of the process raises no error."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)


def _escaped(found: re.Match[bytes]) -> bytes:
    return rb"\u%04x" % ord(found[0].decode())


def _print(line: str, *, err: bool = False) -> None:
    try:  # not click.echo: it would write across a progress bar
        print(line, file=sys.stderr if err else sys.stdout, flush=True)
    except BrokenPipeError as error:  # an OSError would be that of a file
        raise ReaderGoneError from error
