"""`asset-ledger verify`: check the whole log, every content, and the tables."""

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, LOCAL
from asset_ledger.api.cli.output import echo

FOUND = 1


@click.command()
@LOCAL
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A checkpoint that you kept elsewhere; repeatable.",
)
@click.option("--no-tables", is_flag=True, help="Check only the log and the contents.")
@JSON
@click.pass_context
def verify(
    context: click.Context,
    data_dir: Path | None,
    checkpoints: tuple[Path, ...],
    no_tables: bool,
    as_json: bool,
) -> None:
    """Check the whole log, every content and the tables. Print what is wrong, and where.

    Only reads; a server may run. Events that are recorded meanwhile are not checked. Working files
    go to the temporary folder (TMPDIR). Exit code 1 when something is wrong.
    """
    from asset_ledger.api.cli.opening import existing_engine

    given = [_checkpoint(path) for path in checkpoints]
    engine = existing_engine(data_dir)
    if engine.database is None:
        _check_format(engine.folder)
        found_in = reports(engine.folder, given, tables=not no_tables)
    else:
        found_in = _database_reports(engine.database, engine.folder, given, tables=not no_tables)
    found = 0
    for report in found_in:
        found += "what" in report
        echo(orjson.dumps(report) if as_json else line_of(report))
    context.exit(FOUND if found else 0)


def reports(folder: Path, given: list[str], *, tables: bool) -> Iterator[dict[str, Any]]:
    """Yield each finding, and a summary of each part that was read."""
    with TemporaryDirectory(prefix="asset-ledger-") as scratch:
        end = 0
        for report in _record(folder, Path(scratch), given):
            end = report.get("events", end)
            yield report
        if tables:
            yield from _tables(folder, Path(scratch), end)


def _database_reports(
    url: str, folder: Path, given: list[str], *, tables: bool
) -> Iterator[dict[str, Any]]:
    """Yield the same of a ledger in a database: its log is copied, and the copy is read."""
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.api.database.log_copy import compare_tables, copy_to_folder, digest_tables

    with TemporaryDirectory(prefix="asset-ledger-") as place:
        copy, made = Path(place, "copy"), Path(place, "tables")
        made.mkdir()
        stored = digest_tables(url) if tables else []  # before the log, which goes on
        copy_to_folder(url, folder, copy)
        yield from _record(copy, Path(place), given)
        if tables:
            with closing(ProgressBar()) as progress:
                for report in compare_tables(stored, copy, made, progress):
                    yield report._asdict()


def _record(folder: Path, scratch: Path, given: list[str]) -> Iterator[dict[str, Any]]:
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.ledger.audit.contents import ContentAudit
    from asset_ledger.ledger.audit.finding import Finding
    from asset_ledger.ledger.audit.folder import Audit
    from asset_ledger.ledger.storage.data_folder import DataFolder

    with closing(ProgressBar()) as progress:
        try:
            audit = Audit(DataFolder(folder), scratch, given)
        except sqlite3.Error as error:
            yield Finding("ledger.db", "as a file", f"cannot be read: {error}")._asdict()
            contents = ContentAudit(DataFolder(folder).content, None, progress)
            yield from (finding._asdict() for finding in contents.findings())
            return
        with closing(audit):
            for finding in audit.findings(progress):
                yield finding._asdict()
            root = base64.b64encode(audit.root).decode()
            yield {"events": audit.position, "contents": audit.contents, "root": root}


def _tables(folder: Path, scratch: Path, end: int) -> Iterator[dict[str, Any]]:
    """Yield the findings in the tables, which should have reached position `end`."""
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.ledger.audit.finding import Finding
    from asset_ledger.ledger.errors import CorruptLogError, PoisonEventError
    from asset_ledger.ledger.log.codec import Codec
    from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
    from asset_ledger.ledger.reading.feed import FeedUpTo
    from asset_ledger.ledger.storage.data_folder import DataFolder
    from asset_ledger.projections.rebuild.verify import check_pages, verify_tables

    log, codec = SqliteLogReader(DataFolder(folder).log), Codec()
    with closing(log), closing(ProgressBar()) as progress:
        try:
            feed = FeedUpTo.of_log(log, codec)
            for report in verify_tables(folder, scratch, feed, progress, end):
                yield report._asdict()
        except (CorruptLogError, PoisonEventError, sqlite3.Error) as error:
            yield Finding("tables", "as a whole", f"cannot be recomputed: {error}")._asdict()
            yield from (finding._asdict() for finding in check_pages(folder))


def line_of(report: dict[str, Any]) -> str:
    if "what" in report:
        return f"{report['table']} {report['where']}: {report['what']}"
    if "root" in report:
        read = f"read {report['events']:,} events and {report['contents']:,} contents"
        return f"{read}; root {report['root']}"
    compared = f"recomputed {report['file']} up to event {report['position']:,}"
    if report["lag"]:
        compared += f", {report['lag']:,} before the end of the log"
    return compared if report["digest"] is None else f"{compared}; digest {report['digest']}"


def _check_format(folder: Path) -> None:
    """Raise DataFolderError if another release made the log. Damage is reported later."""
    from asset_ledger.ledger.errors import CorruptLogError, PoisonEventError
    from asset_ledger.ledger.log.codec import Codec
    from asset_ledger.ledger.log.opening import read_identity
    from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
    from asset_ledger.ledger.storage.data_folder import DataFolder

    with (
        suppress(CorruptLogError, PoisonEventError, sqlite3.Error),
        closing(SqliteLogReader(DataFolder(folder).log)) as log,
    ):
        read_identity(log, Codec())


def _checkpoint(path: Path) -> str:
    """Return the text of a checkpoint file. Raises ClickException for any other file."""
    from asset_ledger.ledger.errors import ProofError
    from asset_ledger.ledger.merkle.checkpoint import read_checkpoint

    text = path.read_text("utf-8")
    try:
        read_checkpoint(text)
    except ProofError as error:
        raise click.ClickException(f"{path}: {error}; GET /api/log/checkpoint sends one") from error
    return text
