"""`asset-ledger import`: import a NodeTool database, or an exported ledger."""

import asyncio
import dataclasses
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, LOCAL, WHERE, database_of, folder_of
from asset_ledger.api.cli.output import Notes, echo

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from asset_ledger.api.imports.destinations import Destination
    from asset_ledger.api.imports.nodetool import ImportCounts
    from asset_ledger.api.imports.nodetool_files import AssetFiles
    from asset_ledger.api.imports.nodetool_times import Times

INCOMPLETE = 1


@click.group("import")
def import_() -> None:
    """Import from NodeTool, or an exported ledger."""


@import_.command()
@click.option(
    "--db",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The SQLite database with the table nodetool_assets.",
)
@click.option(
    "--assets",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The folder of the contents: <user>/<id>.<ext>, or <id>.<ext>.",
)
@click.option(
    "--follow-external", is_flag=True, help="Also import files outside of that folder, by path."
)
@click.option(
    "--timezone", help="Of times without a zone: Europe/Berlin, say. [default: this host's]"
)
@click.option("--dry-run", is_flag=True, help="Record nothing; print what would be recorded.")
@click.option("--watch", is_flag=True, help="Go on: import what NodeTool adds, until Ctrl-C.")
@WHERE
@JSON
@click.pass_context
def nodetool(
    context: click.Context,
    /,
    db: Path,
    assets: Path,
    *,
    follow_external: bool,
    timezone: str | None,
    dry_run: bool,
    watch: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """Import the assets and jobs of a NodeTool database: with ids, times, folders and contents.

    Imports into the data folder, or through the server that has it. It can be run again: assets
    that are already in the ledger stay as they are. Prints a line for each value that cannot be
    imported. Exit code 1 when a row was not imported, or has no content. With --watch, it follows a
    NodeTool that runs.
    """

    def report(note: Any) -> None:
        line = f"{note.id}: {note.what}" if note.id else note.what
        echo(orjson.dumps(note._asdict()) if as_json else line)

    from asset_ledger.api.imports.nodetool_files import AssetFiles
    from asset_ledger.api.imports.nodetool_times import Times

    times = Times(_zone(timezone))
    list_files = partial(AssetFiles, assets, follow_external=follow_external)
    if watch:
        if dry_run:
            raise click.UsageError("--watch records: leave out --dry-run")
        passes = Passes(times, as_json=as_json)
        with suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(_follow(db, list_files, times, report, passes, **where))
        context.exit(passes.end())
    files = list_files()
    counts = asyncio.run(_nodetool(db, files, times, report, dry_run=dry_run, **where))
    document = {**dataclasses.asdict(counts), "timezone": times.zone}
    if times.without_zone and not as_json:
        echo(f"{times.without_zone:,} times without a zone are in {times.zone}: see --timezone")
    for line in [orjson.dumps(document)] if as_json else _summary(counts, dry_run=dry_run):
        echo(line)
    context.exit(0 if counts.complete else INCOMPLETE)


class Passes(Notes):
    """Prints what each pass of a watch added, and in the end what all of them did."""

    def __init__(self, times: "Times", *, as_json: bool) -> None:
        self._times, self._as_json = times, as_json
        self._last: ImportCounts | None = None
        self._assets = self._jobs = 0

    def passed(self, counts: "ImportCounts") -> None:
        """Print the counts of the first pass, and of each that added something."""
        assets = counts.recorded + counts.filled
        jobs = counts.jobs.started + counts.jobs.finished
        if self._last is None or assets or jobs:
            document = {**dataclasses.asdict(counts), "timezone": self._times.zone}
            lines = _summary(counts, dry_run=False)
            for line in [orjson.dumps(document)] if self._as_json else lines:
                echo(line)
        if self._last is None or self.waits_for:
            self.note("following NodeTool; Ctrl-C ends")
        self._last = counts
        self._assets += assets
        self._jobs += jobs

    def end(self) -> int:
        """Print the totals, and return the exit code."""
        echo(f"{self._assets:,} assets, {self._jobs:,} starts and ends of jobs recorded", err=True)
        return 0 if self._last is None or self._last.complete else INCOMPLETE


def _zone(name: str | None) -> "ZoneInfo | None":
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise click.UsageError(
            f"--timezone {name!a} is not known here: name one such as Europe/Berlin, or UTC"
        ) from error


def _summary(counts: "ImportCounts", *, dry_run: bool) -> Iterator[str]:
    added, jobs = "would be added" if dry_run else "added", counts.jobs
    if jobs.rows:
        yield (
            f"{jobs.rows:,} jobs: {jobs.started:,} starts and {jobs.finished:,} ends {added}, "
            f"{jobs.refused:,} not imported"
        )
    yield (
        f"{counts.rows:,} rows: {counts.recorded:,} {added}, {counts.known:,} already known, "
        f"{counts.refused:,} not imported; {counts.filled:,} received their content, "
        f"{counts.without_bytes:,} have no content"
    )


async def _nodetool(
    db: Path, files: "AssetFiles", times: "Times", report: Any, *, dry_run: bool, **where: Any
) -> "ImportCounts":
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.api.imports.nodetool import import_nodetool
    from asset_ledger.api.imports.nodetool_table import open_table

    with open_table(db) as table, closing(ProgressBar()) as progress:
        async with _destination(dry_run=dry_run, **where) as destination:
            return await import_nodetool(table, files, times, destination, report, progress)


async def _follow(
    db: Path,
    list_files: "Callable[[], AssetFiles]",
    times: "Times",
    report: Any,
    passes: Passes,
    **where: Any,
) -> None:
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.api.imports.nodetool_watch import NodeToolWatch

    following = asyncio.current_task()
    assert following is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, following.cancel)
    with closing(ProgressBar()) as progress:
        async with _destination(dry_run=False, **where) as destination:
            watch = NodeToolWatch(db, list_files, times, destination, report, passes)
            await watch.follow(progress)


@asynccontextmanager
async def _destination(
    *, dry_run: bool, data_dir: Path | None, url: str | None, token: str | None
) -> "AsyncIterator[Destination]":
    """Open the ledger to import into: at `url`, in the folder, or through the folder's server."""
    from asset_ledger.api.imports.destinations import DryRun, LogFile, ServerDestination
    from asset_ledger.api.sdk.holder import call_server
    from asset_ledger.ledger.storage.data_folder import DataFolder

    if url is not None:
        server = ServerDestination(partial(call_server, url, token))
        yield DryRun(server) if dry_run else server
        return
    folder = folder_of(data_dir)
    if dry_run:
        if database_of(data_dir) is not None:
            raise click.UsageError("--dry-run: ask a server of the database, with --url")
        yield DryRun(LogFile(DataFolder(folder).log))
        return
    async with AsyncExitStack() as stack:
        yield await _open(stack, folder)


async def _open(stack: AsyncExitStack, folder: Path) -> "Destination":
    """Open the ledger in a folder until the stack closes, or call the server that has it."""
    from asset_ledger.api.backend import open_backend
    from asset_ledger.api.cli.flags import settings_of
    from asset_ledger.api.imports.destinations import LocalDestination, ServerDestination
    from asset_ledger.api.sdk.holder import call_holder
    from asset_ledger.ledger.errors import FolderLockedError

    try:
        settings = settings_of(folder)
        backend = await stack.enter_async_context(open_backend(settings))
    except FolderLockedError as locked:
        return ServerDestination(partial(call_holder, folder, locked))
    return LocalDestination(backend.ledger, backend.projections.jobs)


@import_.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@LOCAL
@JSON
def ledger(folder: Path, data_dir: Path | None, *, as_json: bool) -> None:
    """Import the ledger that was exported to FOLDER into the data folder, which has to be empty.

    The imported log has the same bytes and the same root. If the import is killed, run it again: it
    goes on. A damaged export is refused, and the folder stays empty. The next start of a server
    makes the tables.
    """
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.api.imports.ledger import import_ledger

    if database_of(data_dir) is not None:
        raise click.UsageError("import into a data folder: leave the database out")
    into = folder_of(data_dir)
    with closing(ProgressBar()) as progress:
        imported = asyncio.run(import_ledger(folder, into, progress))
    if as_json:
        echo(orjson.dumps(imported._asdict()))
        return
    echo(
        f"{into} has all {imported.events:,} events and {imported.contents:,} contents; "
        f"root {imported.root}"
    )
    if not imported.has_key:
        echo(f"copy checkpoint.key to {into}: without it, no checkpoint can be signed")
