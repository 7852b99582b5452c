"""`asset-ledger key`: the keys that a log's checkpoints are signed with."""

from contextlib import closing
from pathlib import Path
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import DATA_DIR, JSON, existing_log


@click.group()
def key() -> None:
    """The keys that the log's checkpoints are signed with."""


@key.command("list")
@DATA_DIR
@JSON
def list_keys(data_dir: Path | None, as_json: bool) -> None:
    """Print every verifier key of the log, and the event from which on it is in force.

    Keep the first one where nobody can change it: each later one is signed by the one before.
    """
    from asset_ledger.ledger.log.codec import Codec
    from asset_ledger.ledger.log.key_rotation import keys_in_force
    from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader

    with closing(SqliteLogReader(existing_log(data_dir))) as log:
        keys = keys_in_force(log, Codec())
    for known in keys:
        _print(as_json, {"since": known.since, "key": known.key}, f"{known.since}  {known.key}")


@key.command()
@DATA_DIR
@JSON
def rotate(data_dir: Path | None, as_json: bool) -> None:
    """Sign checkpoints by a new key from here on, in the folder or by the server that has it.

    The old key signs the new one, and is destroyed; what it signed can still be checked.
    """
    from asset_ledger.api.cli.administer import Errand, administer

    folder = existing_log(data_dir).parent
    known = administer(folder, Errand("POST", "/api/log/key/rotate"), _rotate_here)
    text = f"from event {known['since']:,} on, checkpoints are signed by {known['key']}"
    _print(as_json, known, f"{text}\nback up checkpoint.key anew")


def _rotate_here(folder: Path) -> dict[str, Any]:
    from asset_ledger.ledger.log.codec import Codec
    from asset_ledger.ledger.log.key_rotation import rotate as rotate_key
    from asset_ledger.ledger.log.sqlite import SqliteLog
    from asset_ledger.ledger.storage.data_folder import DataFolder

    files = DataFolder(folder)
    with closing(SqliteLog(files.log, Codec())) as log:
        return rotate_key(log, Codec(), files.key)._asdict()


def _print(as_json: bool, document: dict[str, Any], text: str) -> None:
    click.echo(orjson.dumps(document) if as_json else text)
