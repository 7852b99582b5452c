"""`asset-ledger copy`: move a whole ledger between a data folder and a database."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
import orjson

from asset_ledger.api.cli.options import JSON, LOCAL, check_database, database_of, folder_of
from asset_ledger.api.cli.output import echo

if TYPE_CHECKING:
    from asset_ledger.api.copying.run import CopiedLedger

FOUND = 1


@click.command()
@LOCAL
@click.option(
    "--to-data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The new data folder: of the copy, or of the first server of its database.",
)
@click.option(
    "--to-database",
    metavar="URL",
    callback=check_database,
    help="The address of an empty PostgreSQL database.",
)
@click.option(
    "--to-content",
    metavar="URL",
    help="Where large contents go: s3://, gs://, az://, a folder (default: the new data folder).",
)
@JSON
@click.pass_context
def copy(
    context: click.Context,
    data_dir: Path | None,
    to_data_dir: Path | None,
    to_database: str | None,
    to_content: str | None,
    as_json: bool,
) -> None:
    """Copy a whole ledger to a new data folder or database, and verify the copy.

    The copy has the same events, byte for byte, with their contents, keys, tokens and webhooks. If
    the command is killed, run it again: it goes on. Beside a running server it copies what is
    there, and has to run again once the server has stopped. Exit code 1 when something is wrong.
    """
    database_url = database_of(data_dir)
    _check_places(data_dir, database_url, to_data_dir, to_database, to_content)
    with _new_folder(to_data_dir) as folder:
        copied = _copy(folder_of(data_dir), database_url, folder, to_database, to_content)
    for finding in copied.findings:
        echo(orjson.dumps(finding._asdict()) if as_json else str(finding))
    where = "the database" if to_database else str(to_data_dir)
    echo(orjson.dumps(_document(copied)) if as_json else _line(copied, where))
    context.exit(FOUND if copied.findings else 0)


def _check_places(
    data_dir: Path | None,
    database_url: str | None,
    to_data_dir: Path | None,
    to_database: str | None,
    to_content: str | None,
) -> None:
    """Raise UsageError for a target that is not named, or that is the source."""
    if to_data_dir is None and to_database is None:
        raise click.UsageError("name the target: --to-data-dir, --to-database, or both")
    if to_data_dir is None and to_content is None:
        raise click.UsageError("large contents need a place: name --to-content or --to-data-dir")
    if to_data_dir is not None and to_data_dir.resolve() == folder_of(data_dir).resolve():
        raise click.UsageError("--to-data-dir: the source has this folder; name a new one")
    if to_database is not None and to_database == database_url:
        raise click.UsageError("--to-database: the source is this database; name another one")


@contextmanager
def _new_folder(named: Path | None) -> Iterator[Path]:
    """Yield the new data folder; without one, a folder that is removed after the block."""
    if named is not None:
        yield named
        return
    with TemporaryDirectory(prefix="asset-ledger-") as place:
        yield Path(place)


def _copy(
    folder: Path, database: str | None, new: Path, to_database: str | None, to_content: str | None
) -> "CopiedLedger":
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.api.copying.ends import open_source, open_target
    from asset_ledger.api.copying.run import copy_ledger
    from asset_ledger.ledger.storage.object_store import PATIENCE, ObjectStore

    store = None if to_content is None else ObjectStore(to_content, PATIENCE)
    with ExitStack() as stack:
        progress = stack.enter_context(closing(ProgressBar()))
        source = stack.enter_context(open_source(folder, database))
        target = stack.enter_context(open_target(new, to_database))
        return copy_ledger(source, target, store, progress)


def _document(copied: "CopiedLedger") -> dict[str, object]:
    return {**copied._asdict(), "findings": len(copied.findings)}


def _line(copied: "CopiedLedger", where: str) -> str:
    if copied.findings:
        return f"{where} is incomplete: mend the source, and run the command again"
    line = (
        f"{where} has all {copied.events:,} events; {copied.contents:,} contents"
        f" ({copied.size:,} bytes) were copied; root {copied.root}"
    )
    if not copied.has_key:
        line += "; copy checkpoint.key, too: without it, no checkpoint can be signed"
    return line
