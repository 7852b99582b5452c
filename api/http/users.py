"""List the users of the ledger, for administrators."""

from collections import Counter

import orjson
from aiohttp import web

from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.users import USERS, UserList
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import CursorError


@operation(
    "GET",
    "/api/users",
    answers=UserList,
    errors=[CursorError],
    scope="admin",
    parameters=USERS,
    projections=("usage",),
)
async def list_users(request: Request) -> web.Response:
    """List the users with assets or valid tokens, in the order of their ids."""
    values, tokens = request.parameters, Counter(request.backend.tokens.owners())
    page = await request.projections.users.page(
        tokens,
        prefix=values["prefix"],
        page_size=values["page_size"],
        cursor=values.get("cursor", ""),
    )
    users = [{**user._asdict(), "tokens": tokens[user.user_id]} for user in page.users]
    return json_answer(orjson.dumps({"users": users, "next": page.next}), page.position)
