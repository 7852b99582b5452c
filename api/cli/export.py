"""`asset-ledger export`: a job as W3C PROV or OpenLineage, or the whole ledger."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import (
    ATTEMPT,
    JSON,
    LOCAL,
    USER,
    hinting_at_user,
)
from asset_ledger.api.cli.output import echo

OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    help="The file, which only you can read; - is standard output.",
)


@click.group()
def export() -> None:
    """Export a job as PROV or OpenLineage, or the whole ledger. A server may run meanwhile."""


@export.command()
@click.argument("job_id")
@ATTEMPT
@LOCAL
@USER
@OUTPUT
def prov(output: Path, **job: Any) -> None:
    """Write JOB_ID as a W3C PROV-JSON document."""
    from asset_ledger.api.export.prov import prov_json

    def documents(record: Any, log_id: str) -> Iterable[Any]:
        return [prov_json(record, log_id)]

    _export(output, documents, **job)


@export.command()
@click.argument("job_id")
@ATTEMPT
@LOCAL
@USER
@OUTPUT
def openlineage(output: Path, **job: Any) -> None:
    """Write JOB_ID as OpenLineage run events, one a line."""
    from asset_ledger.api.export.openlineage import run_events

    _export(output, run_events, **job)


@export.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@LOCAL
@JSON
def ledger(folder: Path, data_dir: Path | None, as_json: bool) -> None:
    """Write every event and every content to FOLDER, an empty folder.

    Includes all users, unencrypted. Leaves out checkpoint.key, tokens, and the tables.
    """
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.api.export.ledger import export_ledger

    with _exported(data_dir) as whole, closing(ProgressBar()) as progress:
        exported = export_ledger(whole, folder, progress)
    if as_json:
        echo(orjson.dumps(exported._asdict()))
    else:
        echo(
            f"{folder} has all {exported.events:,} events and {exported.contents:,} contents "
            f"({exported.size:,} bytes); root {exported.root}"
        )


@contextmanager
def _exported(data_dir: Path | None) -> Iterator[Path]:
    """Yield a folder that has the whole ledger: of a database, a copy in the temporary folder."""
    from asset_ledger.api.cli.opening import existing_engine

    engine = existing_engine(data_dir)
    if engine.database is None:
        yield engine.folder
        return
    from asset_ledger.api.database.log_copy import copy_to_folder  # needs the extra postgresql

    with TemporaryDirectory(prefix="asset-ledger-") as place:
        copy_to_folder(engine.database, engine.folder, Path(place, "copy"))
        yield Path(place, "copy")


def _export(
    output: Path,
    documents: Callable[[Any, str], Iterable[Any]],
    *,
    job_id: str,
    attempt: int | None,
    data_dir: Path | None,
    user: str,
) -> None:
    from asset_ledger.api.cli.opening import reading
    from asset_ledger.api.export.files import open_private
    from asset_ledger.ledger.log.codec import Codec
    from asset_ledger.ledger.log.opening import read_identity
    from asset_ledger.ledger.reading.replay import Replay

    codec = Codec()
    with reading(data_dir) as log, hinting_at_user(user):
        record = Replay(log, codec).job_record(user, job_id, attempt=attempt)
        log_id = read_identity(log, codec).log_id
    lines = [orjson.dumps(document) + b"\n" for document in documents(record, log_id)]
    if output == Path("-"):
        sys.stdout.buffer.writelines(lines)
        return
    with open_private(output) as file:
        file.writelines(lines)
