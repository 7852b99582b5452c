"""Tokens, for whoever administers the ledger: make one, list them, revoke one."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import UnknownTokenError
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.tokens import NewTokenOut, TokenIn, TokenList, TokenOut
from asset_ledger.api.http.body import read_optional_json
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import FieldError, MalformedBodyError, TooLargeError


@operation(
    "POST",
    "/api/tokens",
    answers=NewTokenOut,
    errors=[MalformedBodyError, FieldError, TooLargeError],
    scope="admin",
    takes=TokenIn,
    statuses=[201],
)
async def create_token(request: Request) -> web.Response:
    """Make a token for a user. Its text is in this answer and nowhere else."""
    sent = await read_optional_json(request)
    made = await asyncio.to_thread(request.backend.tokens.create, sent)
    return _answer(made, status=201)


@operation("GET", "/api/tokens", answers=TokenList, scope="admin")
async def list_tokens(request: Request) -> web.Response:
    """Every token that was ever made, without their texts, the oldest first."""
    tokens = await asyncio.to_thread(request.backend.tokens.all)
    return _answer({"tokens": [token._asdict() for token in tokens]})


@operation(
    "DELETE", "/api/tokens/{token_id}", answers=TokenOut, errors=[UnknownTokenError], scope="admin"
)
async def revoke_token(request: Request) -> web.Response:
    """Let a token open nothing from now on. Revoking it again changes nothing."""
    token = await asyncio.to_thread(request.backend.tokens.revoke, request.named["token_id"])
    return _answer(token._asdict())


def _answer(document: dict[str, Any], *, status: int = 200) -> web.Response:
    headers = {"Content-Type": JSON, "Cache-Control": "no-store"}
    return web.Response(body=orjson.dumps(document), status=status, headers=headers)
