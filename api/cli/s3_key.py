"""`asset-ledger s3-key`: make the keys of S3 clients. A key is a token: `token revoke` ends it."""

from typing import Any

import click
import orjson

from asset_ledger.api.cli.administer import ServerCall
from asset_ledger.api.cli.options import DATA_DIR, JSON, folder_of
from asset_ledger.api.cli.output import echo
from asset_ledger.api.cli.token import moment_of, run_on_tokens
from asset_ledger.api.contract.principal import LOCAL_USER, SCOPES
from asset_ledger.ledger.domain.ledger import SYSTEM


@click.group("s3-key")
def s3_key() -> None:
    """Make the keys of S3 clients, which `token list` shows and `token revoke` ends."""


@s3_key.command()
@click.option("--user", default=LOCAL_USER, show_default=True, help="The user of the key.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it allows; repeatable.  [default: read and write]",
)
@click.option("--name", help="What it is for.")
@click.option("--expires", metavar="WHEN", help="Such as 90d (m, h, d or w), or an RFC 3339 time.")
@DATA_DIR
@JSON
def create(
    user: str,
    scopes: tuple[str, ...],
    name: str | None,
    expires: str | None,
    **where: Any,
) -> None:
    """Make a key and print its id and secret. The secret stays readable in the data folder."""
    from asset_ledger.api.s3.keys import keep_secret
    from asset_ledger.ledger.storage.data_folder import DataFolder

    sent: dict[str, Any] = {"user_id": user, "scopes": [*scopes] or None, "name": name or "S3"}
    sent["expires_at"] = moment_of(expires) if expires else None
    made = run_on_tokens(
        ServerCall("POST", "/api/tokens", sent),
        lambda tokens: tokens.create(SYSTEM, sent),
        where | {"url": None, "token": None},
    )
    keep_secret(DataFolder(folder_of(where["data_dir"])).s3_keys, made["id"], made["token"])
    key = {"access_key_id": made["id"], "secret_access_key": made["token"]}
    if where["as_json"]:
        echo(orjson.dumps(key))
    else:
        echo(f"AWS_ACCESS_KEY_ID={made['id']}")
        echo(f"AWS_SECRET_ACCESS_KEY={made['token']}")
