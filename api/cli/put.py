"""`asset-ledger put`: record files."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from asset_ledger.api.cli.options import JSON, LEDGER, NDJSON, Where
from asset_ledger.api.cli.output import FileOutcomes, echo, echo_counts

if TYPE_CHECKING:
    from asset_ledger.api.cli.local_files import LocalFile
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.api.cli.recording import FileLabel
    from asset_ledger.api.sdk.gateway import Document

REFUSED = 2
LEFT_OUT, NOT_RECORDED = "left out", "not recorded"


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="PATH|-|GLOB...")
@click.option("--job", "job_id", help="The job that made the files.")
@click.option("--node", "node_id", help="The node that made the files.")
@click.option("--workflow", "workflow_id", help="The workflow that made the files.")
@click.option("--tag", "tags", multiple=True, help="A tag; repeatable.")
@click.option(
    "--derived-from", multiple=True, metavar="ASSET", help="What they were made from; repeatable."
)
@click.option("--into", default="", metavar="FOLDER", help="The folder to put them into.")
@click.option("--name", help="The name of the only file, instead of its own.")
@click.option("--type", "content_type", help="The media type (default: by name, else by bytes).")
@click.option("--sync", is_flag=True, help="Make a changed file a new version of its asset.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Names to leave out of folders.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=8, show_default=True)
@LEDGER
@JSON
@NDJSON
def put(
    files: tuple[str, ...],
    into: str,
    name: str | None,
    exclude: tuple[str, ...],
    sync: bool,
    concurrency: int,
    as_json: bool,
    ndjson: bool,
    where: Where,
    **label: Any,
) -> None:
    """Record files, folders with all they contain, or standard input (-).

    A folder becomes a folder of the ledger. Repeated, the command records nothing new: a file is
    known if its folder has an asset with its name and bytes, and with the given job, node, workflow
    and sources. Links inside folders are left out. Prints the outcome and the id of each file.
    """
    from asset_ledger.api.cli.local_files import Folder, distinct, local_files
    from asset_ledger.api.cli.recording import FileLabel

    outcomes = Outcomes(as_json=as_json, ndjson=ndjson)
    above = tuple(part for part in into.split("/") if part not in ("", "."))
    found = local_files(files, above, name, Folder(exclude, outcomes.skipped, outcomes.missed))
    if sync:
        distinct(found)
    with outcomes.shown(sum(file.size for file in found)):
        asyncio.run(_put(found, FileLabel(**label), outcomes, where, sync, concurrency))
    if outcomes.counts[NOT_RECORDED]:
        click.get_current_context().exit(REFUSED)


async def _put(
    files: "Sequence[LocalFile]",
    label: "FileLabel",
    outcomes: "Outcomes",
    where: Where,
    sync: bool,
    concurrency: int,
) -> None:
    from asset_ledger.api.cli.ledger import open_ledger
    from asset_ledger.api.cli.naming import asset_named
    from asset_ledger.api.cli.recording import Recorder

    async with open_ledger(where, creates=True) as gateway:
        sources = [str((await asset_named(gateway, text))["id"]) for text in label.derived_from]
        recorder = Recorder(gateway, replace(label, derived_from=sources), outcomes, sync)
        await recorder.record(files, concurrency)


class Outcomes:
    """Prints the outcome of each file, on standard error what was not recorded, then the counts."""

    def __init__(self, *, as_json: bool, ndjson: bool) -> None:
        self.counts = Counter[str]()
        self._printed = FileOutcomes(as_json=as_json, ndjson=ndjson)
        self._bar: ProgressBar | None = None
        self._done = self._total = 0

    @contextmanager
    def shown(self, total: int) -> Iterator[None]:
        """Show the progress of `total` bytes during the block, and the counts after it."""
        from asset_ledger.api.cli.progress import ProgressBar

        self._total = total
        try:
            with closing(ProgressBar(in_bytes=True)) as self._bar:
                yield
        finally:
            self._printed.finish(self.counts)
            if self.counts.total() != 1 or self.counts[NOT_RECORDED]:
                echo_counts(self.counts)
        if not self.counts:
            echo("no files", err=True)

    def recorded(self, file: "LocalFile", outcome: str, asset: "Document") -> None:
        """Print the asset of a file."""
        self.counts[outcome] += 1
        line = f"{outcome:<7}  {asset['id']}  {file.shown if file.path else asset['name']}"
        self._printed.add({**asset, "outcome": outcome}, line)

    def skipped(self, path: str, reason: str) -> None:
        """Print what is left out."""
        self.counts[LEFT_OUT] += 1
        echo(f"{LEFT_OUT}: {path} {reason}", err=True)

    def missed(self, path: str, reason: str) -> None:
        """Print why a file was not recorded."""
        self.counts[NOT_RECORDED] += 1
        echo(f"{NOT_RECORDED}: {path}: {reason}", err=True)

    def sent(self, size: int) -> None:
        """Move the bar."""
        self._done += size
        if self._bar is not None and self._total:
            self._bar("put", min(self._done, self._total), self._total)
