"""`asset-ledger open`: the address of the console."""

import sys
from pathlib import Path

import click

from asset_ledger.api.cli.options import DATA_DIR, URL, folder_of
from asset_ledger.api.cli.output import echo


@click.command("open")
@DATA_DIR
@URL
def open_(data_dir: Path | None, url: str | None) -> None:
    """Print the address of the console; at a terminal, also open it in a browser."""
    from asset_ledger.ledger.storage.folder_lock import holder_of

    if url is None:
        holder = holder_of(folder_of(data_dir))
        url = holder.address if holder else None
    if url is None:
        raise click.ClickException(
            f"no server has {folder_of(data_dir)}: start asset-ledger serve, or name one with --url"
        )
    address = f"{url.rstrip('/')}/"
    echo(address)
    if sys.stdout.isatty():
        click.launch(address)
