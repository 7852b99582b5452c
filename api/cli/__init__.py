"""`asset-ledger`: what can be done to a ledger from a shell.

Exit codes: 0 fine, 1 a difference or tampering was found, 2 refused, with one line on stderr.
"""

import logging
import sys
from importlib import import_module
from typing import Final

import click

from ledger.errors import LedgerError

REFUSED = 2

COMMANDS: Final = {
    "serve": "api.cli.serve:serve",
    "replay": "api.cli.replay:replay",
    "compare": "api.cli.compare:compare",
    "tail": "api.cli.tail:tail",
    "verify": "api.cli.verify:verify",
    "audit-bundle": "api.cli.audit_bundle:audit_bundle",
    "witness": "api.cli.witness:witness",
    "export": "api.cli.export:export",
    "import": "api.cli.imports:import_",
    "rebuild": "api.cli.rebuild:rebuild",
    "key": "api.cli.key:key",
    "token": "api.cli.token:token",
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
        cli(standalone_mode=True)
    except LedgerError as refusal:
        click.echo(f"asset-ledger: {refusal}", err=True)
        sys.exit(REFUSED)
