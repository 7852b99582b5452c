"""`asset-ledger verify`: the whole record read again, by one who believes nothing but the bytes."""

import base64
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import DATA_DIR, JSON, existing_log

FOUND = 1


@click.command()
@DATA_DIR
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A checkpoint that was kept elsewhere; repeats.",
)
@click.option("--no-tables", is_flag=True, help="Only the log and the contents.")
@JSON
@click.pass_context
def verify(
    context: click.Context,
    data_dir: Path | None,
    checkpoints: tuple[Path, ...],
    no_tables: bool,
    as_json: bool,
) -> None:
    """Read the whole log and every content again, and the tables; say what is wrong, and where.

    Only reads, also beside a running server: what was recorded since it began is left out. Notes go
    to the temporary folder (TMPDIR). Exit code 1 when something is wrong.
    """
    folder = existing_log(data_dir).parent
    given = [path.read_text("utf-8") for path in checkpoints]
    found = 0
    for said in _verified(folder, given, tables=not no_tables):
        found += "what" in said
        click.echo(orjson.dumps(said) if as_json else _line(said))
    context.exit(FOUND if found else 0)


def _verified(folder: Path, given: list[str], *, tables: bool) -> Iterator[dict[str, Any]]:
    """Findings, as they are found, and what was read, as it has been."""
    with TemporaryDirectory(prefix="asset-ledger-") as scratch:
        end = 0
        for said in _record(folder, Path(scratch), given):
            end = said.get("events", end)
            yield said
        if tables:
            yield from _tables(folder, Path(scratch), end)


def _record(folder: Path, scratch: Path, given: list[str]) -> Iterator[dict[str, Any]]:
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.ledger.audit.folder import Audit

    with closing(Audit(folder, scratch, given)) as audit, closing(ProgressBar()) as progress:
        for finding in audit.findings(progress):
            yield finding._asdict()
        root = base64.b64encode(audit.root).decode()
        yield {"events": audit.position, "contents": audit.contents, "root": root}


def _tables(folder: Path, scratch: Path, end: int) -> Iterator[dict[str, Any]]:
    """Findings in the tables, which should have reached the event `end`."""
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.ledger.audit.finding import Finding
    from asset_ledger.ledger.errors import CorruptLogError, PoisonEventError
    from asset_ledger.ledger.log.codec import Codec
    from asset_ledger.ledger.log.opening import read_identity
    from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
    from asset_ledger.ledger.reading.feed import FeedUpTo
    from asset_ledger.ledger.storage.data_folder import DataFolder
    from asset_ledger.projections.rebuild.verify import verify_tables

    log, codec = SqliteLogReader(DataFolder(folder).log), Codec()
    with closing(log), closing(ProgressBar()) as progress:
        try:
            feed = FeedUpTo(log, codec, read_identity(log, codec).log_id)
        except (CorruptLogError, PoisonEventError) as error:
            yield Finding("tables", "as a whole", f"cannot be made again: {error}")._asdict()
            return
        for said in verify_tables(folder, scratch, feed, progress, end):
            yield said._asdict()


def _line(said: dict[str, Any]) -> str:
    if "what" in said:
        return f"{said['table']} {said['where']}: {said['what']}"
    if "root" in said:
        return (
            f"read {said['events']:,} events and {said['contents']:,} contents; root {said['root']}"
        )
    made = f"made {said['file']} again up to {said['position']:,}"
    if said["lag"]:
        made += f", {said['lag']:,} before the end of the log"
    return made if said["digest"] is None else f"{made}; digest {said['digest']}"
