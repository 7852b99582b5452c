"""`asset-ledger`: what can be done to a ledger from a shell.

Exit codes: 0 fine, 1 a difference or tampering was found, 2 refused, with one line on stderr.
"""

import logging
import sqlite3
import sys
from importlib import import_module
from typing import Final

import click

from asset_ledger.ledger.errors import LedgerError

REFUSED = 2

_OF_THE_SYSTEM: Final = (OSError, sqlite3.Error, UnicodeEncodeError)
"""What a file, a disk or a shell may do to any command: no finding, and no defect of ours."""

COMMANDS: Final = {
    "serve": "asset_ledger.api.cli.serve:serve",
    "replay": "asset_ledger.api.cli.replay:replay",
    "compare": "asset_ledger.api.cli.compare:compare",
    "tail": "asset_ledger.api.cli.tail:tail",
    "verify": "asset_ledger.api.cli.verify:verify",
    "audit-bundle": "asset_ledger.api.cli.audit_bundle:audit_bundle",
    "witness": "asset_ledger.api.cli.witness:witness",
    "export": "asset_ledger.api.cli.export:export",
    "import": "asset_ledger.api.cli.imports:import_",
    "rebuild": "asset_ledger.api.cli.rebuild:rebuild",
    "key": "asset_ledger.api.cli.key:key",
    "token": "asset_ledger.api.cli.token:token",
}
"""Where each command is: only the one that runs is imported."""


class Commands(click.Group):
    """The commands of the table above, by their names."""

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
    """Remembers every file a workflow produces."""


def main() -> None:
    """Run a command; what it refuses is one line, never a traceback."""
    logging.lastResort = logging.NullHandler()  # else what a module logs comes before that line
    try:
        sys.exit(cli(standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        help_wanted.show()
    except (LedgerError, click.ClickException, click.Abort, *_OF_THE_SYSTEM) as refusal:
        line = " ".join(_said(refusal).split())
        click.echo(f"asset-ledger: {line}", err=True)
    sys.exit(REFUSED)


def _said(refusal: Exception) -> str:
    match refusal:
        case click.UsageError():
            return f"{refusal.format_message().rstrip('.')}{_where_help_is(refusal.ctx)}"
        case click.ClickException():
            return refusal.format_message()
        case click.Abort():
            return "interrupted"  # and not exit code 1, which says that something was found
        case OSError(strerror=str(reason), filename=str(name)):
            return f"{name}: {reason}"
        case UnicodeEncodeError():
            return f"{refusal.object!r} is not UTF-8"
    return str(refusal)


def _where_help_is(context: click.Context | None) -> str:
    return f"; see {context.command_path} --help" if context else ""
