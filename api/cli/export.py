"""`asset-ledger export`: a job in the words of others."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import click
import orjson

from api.cli.options import DATA_DIR, USER, existing_log

OUTPUT = click.option(
    "-o", "--output", type=click.File("wb"), default="-", help="A file, instead of standard output."
)


@click.group()
def export() -> None:
    """A job in the words of others. Reads the log alone, without a lock."""


@export.command()
@click.argument("job_id")
@DATA_DIR
@USER
@OUTPUT
def prov(job_id: str, data_dir: Path | None, user: str, output: BinaryIO) -> None:
    """JOB_ID as a W3C PROV-JSON document: what was made by whom, from what."""
    from api.export.prov import prov_json

    def documents(record: Any, log_id: str) -> Iterable[Any]:
        return [prov_json(record, log_id)]

    _export(job_id, data_dir, user, output, documents)


@export.command()
@click.argument("job_id")
@DATA_DIR
@USER
@OUTPUT
def openlineage(job_id: str, data_dir: Path | None, user: str, output: BinaryIO) -> None:
    """JOB_ID as OpenLineage run events, one a line."""
    from api.export.openlineage import run_events

    _export(job_id, data_dir, user, output, run_events)


def _export(
    job_id: str,
    data_dir: Path | None,
    user: str,
    output: BinaryIO,
    documents: Callable[[Any, str], Iterable[Any]],
) -> None:
    from ledger.codec import Codec
    from ledger.log.sqlite_reader import SqliteLogReader
    from ledger.opening import read_identity
    from ledger.replay import Replay

    log, codec = SqliteLogReader(existing_log(data_dir)), Codec()
    try:
        record = Replay(log, codec).job_record(user, job_id)
        log_id = read_identity(log, codec).log_id
    finally:
        log.close()
    output.writelines(orjson.dumps(document) + b"\n" for document in documents(record, log_id))
