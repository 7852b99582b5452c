"""`asset-ledger key`: list and rotate the keys that sign a log's checkpoints."""

from contextlib import closing
from pathlib import Path
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import DATA_DIR, JSON, existing_log
from asset_ledger.api.cli.output import echo


@click.group()
def key() -> None:
    """List or rotate the keys that sign the log's checkpoints."""


@key.command("list")
@DATA_DIR
@JSON
def list_keys(data_dir: Path | None, as_json: bool) -> None:
    """Print every verifier key of the log, and the event from which on it is in force.

    Keep a copy of the first key outside of the server: each later key is signed by the one before.
    """
    from asset_ledger.ledger.log.codec import Codec
    from asset_ledger.ledger.log.key_rotation import keys_in_force
    from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader

    with closing(SqliteLogReader(existing_log(data_dir))) as log:
        keys = keys_in_force(log, Codec())
    for each in keys:
        _print(as_json, {"since": each.since, "key": each.key}, f"{each.since}  {each.key}")


@key.command()
@DATA_DIR
@JSON
def rotate(data_dir: Path | None, as_json: bool) -> None:
    """Replace the key that signs checkpoints, in the folder or by the server that has it.

    The old key signs the new key and is then destroyed. Old signatures can still be checked.
    """
    from asset_ledger.api.cli.administer import ServerCall, administer

    folder = existing_log(data_dir).parent
    rotated = administer(folder, ServerCall("POST", "/api/log/key/rotate"), _rotate_here)
    text = f"from event {rotated['since']:,} on, checkpoints are signed by {rotated['key']}"
    _print(as_json, rotated, f"{text}\nback up the new checkpoint.key")


def _rotate_here(folder: Path) -> dict[str, Any]:
    from asset_ledger.ledger.log.codec import Codec
    from asset_ledger.ledger.log.key_rotation import rotate as rotate_key
    from asset_ledger.ledger.log.sqlite import SqliteLog
    from asset_ledger.ledger.storage.data_folder import DataFolder

    files = DataFolder(folder)
    with closing(SqliteLog(files.log, Codec())) as log:
        return rotate_key(log, Codec(), files.key)._asdict()


def _print(as_json: bool, document: dict[str, Any], text: str) -> None:
    for line in [orjson.dumps(document)] if as_json else text.splitlines():
        echo(line)
