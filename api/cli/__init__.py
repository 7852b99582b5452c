"""The command line `asset-ledger`: its table of commands, and the entry point `main`.

Exit codes: 0 success, 1 a difference, tampering or damage was found, 2 refused or interrupted, with
one line on stderr, 141 the reader of the output has gone.
"""

import logging
import sqlite3
import sys
from importlib import import_module
from typing import Any, Final

import click

from asset_ledger.api.cli.output import READER_GONE, ReaderGoneError, discard, echo, prepare
from asset_ledger.ledger.errors import LedgerError

REFUSED = 2

_SYSTEM_ERRORS: Final = (OSError, sqlite3.Error, UnicodeEncodeError)
"""Errors that a file, a disk or a shell can cause in any command. They exit with code 2."""

COMMANDS: Final = {
    "serve": "asset_ledger.api.cli.serve:serve",
    "put": "asset_ledger.api.cli.put:put",
    "get": "asset_ledger.api.cli.get:get",
    "show": "asset_ledger.api.cli.asset:show",
    "tag": "asset_ledger.api.cli.asset:tag",
    "mv": "asset_ledger.api.cli.asset:mv",
    "rm": "asset_ledger.api.cli.asset:rm",
    "restore": "asset_ledger.api.cli.asset:restore",
    "open": "asset_ledger.api.cli.console:open_",
    "completion": "asset_ledger.api.cli.completion:completion",
    "ls": "asset_ledger.api.cli.assets:ls",
    "find": "asset_ledger.api.cli.assets:find",
    "jobs": "asset_ledger.api.cli.jobs:jobs",
    "usage": "asset_ledger.api.cli.usage:usage",
    "replay": "asset_ledger.api.cli.replay:replay",
    "compare": "asset_ledger.api.cli.compare:compare",
    "tail": "asset_ledger.api.cli.tail:tail",
    "prove": "asset_ledger.api.cli.prove:prove",
    "head": "asset_ledger.api.cli.prove:head",
    "watch": "asset_ledger.api.cli.watch:watch",
    "verify": "asset_ledger.api.cli.verify:verify",
    "audit-bundle": "asset_ledger.api.cli.audit_bundle:audit_bundle",
    "witness": "asset_ledger.api.cli.witness:witness",
    "backup": "asset_ledger.api.cli.backup:backup",
    "copy": "asset_ledger.api.cli.copy:copy",
    "export": "asset_ledger.api.cli.export:export",
    "import": "asset_ledger.api.cli.imports:import_",
    "rebuild": "asset_ledger.api.cli.rebuild:rebuild",
    "doctor": "asset_ledger.api.cli.doctor:doctor",
    "scrub": "asset_ledger.api.cli.scrub:scrub",
    "gc": "asset_ledger.api.cli.gc:gc",
    "hook": "asset_ledger.api.cli.hook:hook",
    "key": "asset_ledger.api.cli.key:key",
    "mcp": "asset_ledger.api.cli.mcp:mcp",
    "s3-key": "asset_ledger.api.cli.s3_key:s3_key",
    "token": "asset_ledger.api.cli.token:token",
}
"""The module and function of each command. Only the command that runs is imported."""


class Commands(click.Group):
    """The group of the commands in `COMMANDS`."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command. Raises ReaderGoneError."""
        try:
            return super().invoke(context)
        except BrokenPipeError as error:  # click would exit with 1, which reports a finding
            raise ReaderGoneError from error

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


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
