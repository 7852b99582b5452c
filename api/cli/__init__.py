"""`asset-ledger`: what can be done to a ledger from a shell.

Exit codes: 0 fine, 1 a difference or tampering was found, 2 refused, with one line on stderr.
"""

import logging
import sys

import click

from api.cli.audit_bundle import audit_bundle
from api.cli.compare import compare
from api.cli.export import export
from api.cli.imports import import_
from api.cli.key import key
from api.cli.rebuild import rebuild
from api.cli.replay import replay
from api.cli.serve import serve
from api.cli.tail import tail
from api.cli.token import token
from api.cli.verify import verify
from api.cli.witness import witness
from ledger.errors import LedgerError

REFUSED = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="asset-ledger")
def cli() -> None:
    """Remembers every file a workflow produces."""


for command in (
    serve,
    replay,
    compare,
    tail,
    verify,
    audit_bundle,
    witness,
    export,
    import_,
    rebuild,
    key,
    token,
):
    cli.add_command(command)


def main() -> None:
    """Run a command; what it refuses is one line, never a traceback."""
    logging.lastResort = logging.NullHandler()  # else what a module logs comes before that line
    try:
        cli(standalone_mode=True)
    except LedgerError as refusal:
        click.echo(f"asset-ledger: {refusal}", err=True)
        sys.exit(REFUSED)
