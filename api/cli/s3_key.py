"""`asset-ledger s3-key`: make the keys of S3 clients. A key is a token: `token revoke` ends it."""

from contextlib import closing
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, LOCAL, database_of, folder_of
from asset_ledger.api.cli.output import echo
from asset_ledger.api.cli.token import OF_A_TOKEN, make_token


@click.group("s3-key")
def s3_key() -> None:
    """Make the keys of S3 clients, which `token list` shows and `token revoke` ends."""


@s3_key.command()
@OF_A_TOKEN
@LOCAL
@JSON
def create(**options: Any) -> None:
    """Make a key and print its id and secret. The secret stays readable beside the ledger."""
    from asset_ledger.api.engine import engine_of

    made = make_token(**options, url=None, token=None)
    key_id, secret, folder = made["id"], made["token"], options["data_dir"]
    engine = engine_of(folder_of(folder), database_of(folder))
    with closing(engine.stores().s3_keys()) as keys:
        keys.keep(key_id, secret)
    if options["as_json"]:
        echo(orjson.dumps({"access_key_id": key_id, "secret_access_key": secret}))
    else:
        echo(f"AWS_ACCESS_KEY_ID={key_id}")
        echo(f"AWS_SECRET_ACCESS_KEY={secret}")
