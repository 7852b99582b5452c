"""`asset-ledger token`: who may call a server that asks for tokens (AUTH=tokens)."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click
import orjson

from asset_ledger.api.cli.administer import Errand, administer, ask
from asset_ledger.api.cli.options import JSON, WHERE, folder_of
from asset_ledger.api.contract.principal import LOCAL_USER, SCOPES

_HEADINGS: Final = ("id", "user", "scopes", "name", "made", "expires", "revoked")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group()
def token() -> None:
    """The tokens that callers show: in the data folder, or through the server that has it."""


@token.command()
@click.option("--user", default=LOCAL_USER, show_default=True, help="Whose calls it makes.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it may do; may be repeated.  [default: read and write]",
)
@click.option("--name", help="What it is for, to know it by.")
@click.option("--expires", metavar="WHEN", help="90d (m, h, d, w), or a time in RFC 3339.")
@WHERE
@JSON
def create(
    user: str, scopes: tuple[str, ...], name: str | None, expires: str | None, **where: Any
) -> None:
    """Make a token and print it, once: nobody can print it again."""
    sent: dict[str, Any] = {"user_id": user, "scopes": scopes or None, "name": name}
    sent["expires_at"] = _moment(expires) if expires else None
    made = _ask(Errand("POST", "/api/tokens", sent), lambda tokens: tokens.create(sent), where)
    click.echo(orjson.dumps(made) if where["as_json"] else made["token"])


@token.command("list")
@WHERE
@JSON
def list_tokens(**where: Any) -> None:
    """Print every token that was ever made, without its text."""
    from asset_ledger.api.cli.tables import print_table

    answer = _ask(Errand("GET", "/api/tokens"), lambda tokens: _listed(tokens.all()), where)
    if where["as_json"]:
        for known in answer["tokens"]:
            click.echo(orjson.dumps(known))
    else:
        print_table(None, _HEADINGS, map(_cells, answer["tokens"]))


@token.command()
@click.argument("token_id")
@WHERE
@JSON
def revoke(token_id: str, **where: Any) -> None:
    """Let the token TOKEN_ID open nothing from now on."""
    errand = Errand("DELETE", f"/api/tokens/{quote(token_id, safe='')}")
    revoked = _ask(errand, lambda tokens: tokens.revoke(token_id)._asdict(), where)
    said = f"token {revoked['id']} of user {revoked['user_id']} opens nothing any more"
    click.echo(orjson.dumps(revoked) if where["as_json"] else said)


def _ask(errand: Errand, here: Any, where: dict[str, Any]) -> dict[str, Any]:
    """By address, or by folder: `here` is called with the folder's tokens if no server has it."""
    from asset_ledger.api.tokens import Tokens
    from asset_ledger.ledger.storage.data_folder import DataFolder

    def in_folder(folder: Path) -> dict[str, Any]:
        with closing(Tokens(DataFolder(folder).access)) as tokens:
            answer: dict[str, Any] = here(tokens)
            return answer

    if where["url"]:
        return ask(where["url"], where["token"], errand)
    return administer(folder_of(where["data_dir"]), errand, in_folder)


def _listed(tokens: list[Any]) -> dict[str, Any]:
    return {"tokens": [known._asdict() for known in tokens]}


def _moment(text: str) -> str:
    """When that is, in RFC 3339. What is no span of time is left to the ledger to judge."""
    count, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (count.isascii() and count.isdecimal()):
        return text
    try:
        return (datetime.now(UTC) + timedelta(**{_UNITS[unit]: int(count)})).isoformat()
    except OverflowError as error:
        raise click.UsageError(f"--expires: {text} is too far away") from error


def _cells(known: dict[str, Any]) -> tuple[Any, ...]:
    times = (known[name] for name in ("created_at", "expires_at", "revoked_at"))
    return (known["id"], known["user_id"], " ".join(known["scopes"]), known["name"], *times)
