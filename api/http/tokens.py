"""Operations on tokens, for administrators: create, list, revoke."""

from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import UnknownTokenError
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.tokens import NewTokenOut, TokenIn, TokenList, TokenOut
from asset_ledger.api.http.body import read_optional_json
from asset_ledger.api.http.request import Request


@operation(
    "POST",
    "/api/tokens",
    answers=NewTokenOut,
    scope="admin",
    takes=TokenIn,
    statuses=[201],
)
async def create_token(request: Request) -> web.Response:
    """Create a token for a user. Only this response contains its text: keep it."""
    sent = await read_optional_json(request)
    created = await request.backend.tokens.create(request.principal.user_id, sent)
    return _answer(created, status=201)


@operation("GET", "/api/tokens", answers=TokenList, scope="admin")
async def list_tokens(request: Request) -> web.Response:
    """List every token ever created, revoked ones too, oldest first, without their texts."""
    tokens = request.backend.tokens.all()
    return _answer({"tokens": [token._asdict() for token in tokens]})


@operation(
    "DELETE", "/api/tokens/{token_id}", answers=TokenOut, errors=[UnknownTokenError], scope="admin"
)
async def revoke_token(request: Request) -> web.Response:
    """Revoke a token, which is refused from now on. Revoking it again changes nothing."""
    tokens, token_id = request.backend.tokens, request.path_values["token_id"]
    token = await tokens.revoke(request.principal.user_id, token_id)
    return _answer(token._asdict())


def _answer(document: dict[str, Any], *, status: int = 200) -> web.Response:
    headers = {"Content-Type": JSON, "Cache-Control": "no-store"}
    return web.Response(body=orjson.dumps(document), status=status, headers=headers)
