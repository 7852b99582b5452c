"""The command line `asset-ledger`: its entry point `main`.

Exit codes: 0 success, 1 a difference, tampering or damage was found, 2 refused or interrupted, with
one line on stderr, 141 the reader of the output has gone.
"""

import logging
import sqlite3
import sys
from typing import Final

import click

from asset_ledger.api.cli.commands import Commands
from asset_ledger.api.cli.output import READER_GONE, ReaderGoneError, discard, echo, prepare
from asset_ledger.ledger.errors import LedgerError

REFUSED = 2

_SYSTEM_ERRORS: Final = (OSError, sqlite3.Error, UnicodeEncodeError)
"""Errors that a file, a disk or a shell can cause in any command. They exit with code 2."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="asset-ledger")
def cli() -> None:
    """Record, find, replay and prove every file that a workflow produces."""


def main() -> None:
    """Run a command. Print a refusal as one line on stderr, never as a traceback."""
    logging.lastResort = logging.NullHandler()  # else log lines come before that line
    prepare()
    try:
        code = _run()
    except ReaderGoneError:
        discard()
        code = READER_GONE
    sys.exit(code)


def _run() -> int:
    """Run the command, and return its exit code. Raises ReaderGoneError."""
    try:
        code: int = cli(standalone_mode=False) or 0
        _flush()
    except click.exceptions.NoArgsIsHelpError as no_arguments:
        no_arguments.show()
        return REFUSED
    except (LedgerError, click.ClickException, click.Abort, *_SYSTEM_ERRORS) as refusal:
        echo(f"asset-ledger: {' '.join(_message(refusal).split())}", err=True)
        return REFUSED
    return code


def _flush() -> None:
    """Write what is buffered, while a failure can still be reported. Raises ReaderGoneError."""
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGoneError from error
    except OSError:
        discard()
        raise


def _message(refusal: Exception) -> str:
    match refusal:
        case click.UsageError():
            return f"{refusal.format_message().rstrip('.')}{_help_hint(refusal.ctx)}"
        case click.ClickException():
            return refusal.format_message()
        case click.Abort():
            return "interrupted"  # click's own exit code 1 would report a finding
        case OSError(strerror=str(reason), filename=str(name)):
            return f"{name}: {reason}"
        case UnicodeEncodeError():
            return f"{refusal.object!r} is not UTF-8"
    return str(refusal)


def _help_hint(context: click.Context | None) -> str:
    return f"; see {context.command_path} --help" if context else ""
