"""`asset-ledger import`: the ways into a ledger from elsewhere."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from asset_ledger.api.cli.options import DATA_DIR, JSON, WHERE, folder_of

if TYPE_CHECKING:
    from asset_ledger.api.imports.destinations import Destination
    from asset_ledger.api.imports.nodetool import ImportCounts

INCOMPLETE = 1


@click.group("import")
def import_() -> None:
    """Bring in what was kept elsewhere."""


@import_.command()
@click.option(
    "--db",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The database, with a table nodetool_assets.",
)
@click.option(
    "--assets",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The folder of the contents: <id>.<ext> each.",
)
@click.option("--dry-run", is_flag=True, help="Record nothing; say what would be.")
@WHERE
@JSON
@click.pass_context
def nodetool(
    context: click.Context, /, db: Path, assets: Path, *, dry_run: bool, as_json: bool, **where: Any
) -> None:
    """Import the assets of a NodeTool database: with their ids, times, folders and bytes.

    Into the data folder, or through the server that has it. Run it again at any time: what is there
    already is left as it is. One line for each thing that did not fit; exit code 1 when a row was
    not imported, or has no bytes.
    """

    def say(said: Any) -> None:
        line = f"{said.id}: {said.what}" if said.id else said.what
        click.echo(orjson.dumps(said._asdict()) if as_json else line)

    tally = asyncio.run(_nodetool(db, assets, say, dry_run=dry_run, **where))
    counted = dataclasses.asdict(tally)
    click.echo(orjson.dumps(counted) if as_json else _summary(tally, dry_run=dry_run))
    context.exit(0 if tally.complete else INCOMPLETE)


def _summary(tally: "ImportCounts", *, dry_run: bool) -> str:
    added = "would be added" if dry_run else "added"
    return (
        f"{tally.rows:,} rows: {tally.recorded:,} {added}, {tally.known:,} known before, "
        f"{tally.refused:,} not imported; {tally.filled:,} got their bytes now, "
        f"{tally.without_bytes:,} have none"
    )


async def _nodetool(
    db: Path, assets: Path, say: Any, *, dry_run: bool, **where: Any
) -> "ImportCounts":
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.api.imports.nodetool import import_nodetool
    from asset_ledger.api.imports.nodetool_files import AssetFiles
    from asset_ledger.api.imports.nodetool_table import open_table

    with open_table(db) as table, closing(ProgressBar()) as progress:
        files = AssetFiles(assets)
        async with _destination(dry_run=dry_run, **where) as destination:
            return await import_nodetool(table, files, destination, say, progress)


@asynccontextmanager
async def _destination(
    *, dry_run: bool, data_dir: Path | None, url: str | None, token: str | None
) -> "AsyncIterator[Destination]":
    """The ledger to import into: by address, by folder, or through the server that has that."""
    from asset_ledger.api.imports.destinations import DryRun, LogFile, ServerDestination
    from asset_ledger.api.sdk.holder import call_server
    from asset_ledger.ledger.storage.data_folder import DataFolder

    if url is not None:
        there = ServerDestination(partial(call_server, url, token))
        yield DryRun(there) if dry_run else there
        return
    folder = folder_of(data_dir)
    if dry_run:
        yield DryRun(LogFile(DataFolder(folder).log))
        return
    async with AsyncExitStack() as stack:
        yield await _open(stack, folder)


async def _open(stack: AsyncExitStack, folder: Path) -> "Destination":
    """The ledger in a folder, open in this process until the stack is left; else its server's."""
    from asset_ledger.api.backend import open_backend
    from asset_ledger.api.cli.flags import settings_from
    from asset_ledger.api.imports.destinations import HereDestination, ServerDestination
    from asset_ledger.api.sdk.holder import call_holder
    from asset_ledger.ledger.errors import FolderLockedError

    try:
        settings = settings_from({"data_dir": folder})
        backend = await stack.enter_async_context(open_backend(settings))
    except FolderLockedError as locked:
        return ServerDestination(partial(call_holder, folder, locked))
    return HereDestination(backend.ledger)


@import_.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@DATA_DIR
@JSON
def ledger(folder: Path, data_dir: Path | None, *, as_json: bool) -> None:
    """Import the ledger that was exported to FOLDER into the data folder, which has to be empty.

    The history is the same, bytes and root. Killed, it goes on when it is run again; an export that
    is damaged is refused, and leaves nothing. The tables are made by the next start.
    """
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.api.imports.ledger import import_ledger

    into = folder_of(data_dir)
    with closing(ProgressBar()) as progress:
        imported = asyncio.run(import_ledger(folder, into, progress))
    if as_json:
        click.echo(orjson.dumps(imported._asdict()))
        return
    click.echo(
        f"{into} has all {imported.events:,} events and {imported.contents:,} contents; "
        f"root {imported.root}"
    )
    if not imported.has_key:
        click.echo("put checkpoint.key beside them: without it, no checkpoint can be signed")
