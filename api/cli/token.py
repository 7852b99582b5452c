"""`asset-ledger token`: make, list and revoke the tokens of a server with `--auth tokens`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click
import orjson

from asset_ledger.api.cli.administer import ServerCall, ask_or_administer
from asset_ledger.api.cli.options import JSON, WHERE, together
from asset_ledger.api.cli.output import echo
from asset_ledger.api.contract.principal import LOCAL_USER, SCOPES
from asset_ledger.ledger.domain.ledger import SYSTEM

if TYPE_CHECKING:
    from asset_ledger.api.engine import Engine
    from asset_ledger.api.tokens import Tokens

_HEADINGS: Final = ("id", "user", "scopes", "name", "made", "expires", "revoked")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


OF_A_TOKEN: Final = together(
    click.option("--user", default=LOCAL_USER, show_default=True, help="The user of the token."),
    click.option(
        "--scope",
        "scopes",
        multiple=True,
        type=click.Choice(SCOPES),
        help="What it allows; repeatable.  [default: read and write]",
    ),
    click.option("--name", help="What it is for."),
    click.option(
        "--expires", metavar="WHEN", help="Such as 90d (m, h, d or w), or an RFC 3339 time."
    ),
)
"""The options of a new token, which `make_token` takes."""


@click.group()
def token() -> None:
    """Make, list or revoke the tokens of a server."""


@token.command()
@OF_A_TOKEN
@WHERE
@JSON
def create(**options: Any) -> None:
    """Make a token and print it. It cannot be printed a second time."""
    made = make_token(**options)
    echo(orjson.dumps(made) if options["as_json"] else made["token"])


@token.command("list")
@WHERE
@JSON
def list_tokens(**where: Any) -> None:
    """Print every token that was ever made, without its secret text."""
    from asset_ledger.api.cli.tables import print_table

    answer = _run(ServerCall("GET", "/api/tokens"), _listed, where)
    if where["as_json"]:
        for each in answer["tokens"]:
            echo(orjson.dumps(each))
    else:
        print_table(None, _HEADINGS, map(_cells, answer["tokens"]))


@token.command()
@click.argument("token_id")
@WHERE
@JSON
def revoke(token_id: str, **where: Any) -> None:
    """Revoke the token TOKEN_ID: every request with it is refused from now on."""
    call = ServerCall("DELETE", f"/api/tokens/{quote(token_id, safe='')}")
    revoked = _run(call, lambda tokens: _revoked(tokens, token_id), where)
    text = f"token {revoked['id']} of user {revoked['user_id']} is revoked"
    echo(orjson.dumps(revoked) if where["as_json"] else text)


def make_token(
    user: str, scopes: tuple[str, ...], name: str | None, expires: str | None, **where: Any
) -> dict[str, Any]:
    """Return a new token with its text."""
    sent: dict[str, Any] = {"user_id": user, "scopes": [*scopes] or None, "name": name}
    sent["expires_at"] = _moment(expires) if expires else None
    call = ServerCall("POST", "/api/tokens", sent)
    return _run(call, lambda tokens: tokens.create(SYSTEM, sent), where)


def _run(
    call: ServerCall, run: Callable[["Tokens"], Awaitable[dict[str, Any]]], where: dict[str, Any]
) -> dict[str, Any]:
    """Call a server, or run `run` on the tokens of a ledger, which is begun if there is none."""
    from asset_ledger.api.tokens import tokens_in
    from asset_ledger.ledger.log.codec import Codec

    def run_in(engine: "Engine") -> dict[str, Any]:
        with engine.writing() as log:

            async def running() -> dict[str, Any]:
                return await run(tokens_in(log, Codec()))

            return asyncio.run(running())

    return ask_or_administer(call, where, run_in)


async def _listed(tokens: "Tokens") -> dict[str, Any]:
    return {"tokens": [each._asdict() for each in tokens.all()]}


async def _revoked(tokens: "Tokens", token_id: str) -> dict[str, Any]:
    return (await tokens.revoke(SYSTEM, token_id))._asdict()


def _moment(text: str) -> str:
    """Return the RFC 3339 time of a span from now, or of an RFC 3339 time. Raises UsageError."""
    from asset_ledger.ledger.domain.event import parse_time

    count, unit = text[:-1], text[-1:]
    try:
        if unit not in _UNITS or not (count.isascii() and count.isdecimal()):
            return parse_time(text).isoformat()
        return (datetime.now(UTC) + timedelta(**{_UNITS[unit]: int(count)})).isoformat()
    except OverflowError as error:
        raise click.UsageError(f"--expires: {text} is too far away") from error
    except ValueError as error:
        hint = "write a span such as 90d, or a time with its zone, 2030-01-31T12:00:00Z"
        raise click.UsageError(f"--expires: {text!r} is not a time: {hint}") from error


def _cells(each: dict[str, Any]) -> tuple[Any, ...]:
    times = (each[name] for name in ("created_at", "expires_at", "revoked_at"))
    return (each["id"], each["user_id"], " ".join(each["scopes"]), each["name"], *times)
