"""`asset-ledger key`: list and rotate the keys that sign a log's checkpoints."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, LOCAL
from asset_ledger.api.cli.output import echo

if TYPE_CHECKING:
    from asset_ledger.api.engine import Engine


@click.group()
def key() -> None:
    """List or rotate the keys that sign the log's checkpoints."""


@key.command("list")
@LOCAL
@JSON
def list_keys(data_dir: Path | None, as_json: bool) -> None:
    """Print every verifier key of the log, and the event from which on it is in force.

    Keep a copy of the first key outside of the server: each later key is signed by the one before.
    """
    from asset_ledger.api.cli.opening import reading
    from asset_ledger.ledger.log.codec import Codec
    from asset_ledger.ledger.log.key_rotation import keys_in_force

    with reading(data_dir) as log:
        keys = keys_in_force(log, Codec())
    for each in keys:
        _print(as_json, {"since": each.since, "key": each.key}, f"{each.since}  {each.key}")


@key.command()
@LOCAL
@JSON
def rotate(data_dir: Path | None, as_json: bool) -> None:
    """Replace the key that signs checkpoints, in the folder or by the server that has it.

    The old key signs the new key and is then destroyed. Old signatures can still be checked.
    """
    from asset_ledger.api.cli.administer import ServerCall, administer
    from asset_ledger.api.cli.opening import existing_engine

    engine = existing_engine(data_dir)
    rotated = administer(engine, ServerCall("POST", "/api/log/key/rotate"), _rotate_here)
    text = f"from event {rotated['since']:,} on, checkpoints are signed by {rotated['key']}"
    hint = "" if engine.database else "\nback up the new checkpoint.key"
    _print(as_json, rotated, f"{text}{hint}")


def _rotate_here(engine: "Engine") -> dict[str, Any]:
    from asset_ledger.ledger.log.codec import Codec
    from asset_ledger.ledger.log.key_rotation import rotate as rotate_key

    with engine.writing() as log:
        engine.share_key(log)
        rotated = rotate_key(log, Codec(), engine.key)
        engine.share_key(log)
        return rotated._asdict()


def _print(as_json: bool, document: dict[str, Any], text: str) -> None:
    for line in [orjson.dumps(document)] if as_json else text.splitlines():
        echo(line)
