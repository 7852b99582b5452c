"""Operations on webhooks, for administrators: create, list, remove."""

from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import TooManyHooksError, UnknownHookError
from asset_ledger.api.contract.hooks import HookIn, HookList, HookOut, NewHookOut
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.http.body import read_json_as
from asset_ledger.api.http.request import Request


@operation(
    "POST",
    "/api/hooks",
    answers=NewHookOut,
    errors=[TooManyHooksError],
    scope="admin",
    takes=HookIn,
    statuses=[201],
)
async def create_hook(request: Request) -> web.Response:
    """Create a webhook. Only this response contains its secret: keep it."""
    sent = await read_json_as(request, JSON)
    backend, caller = request.backend, request.user_id
    private = backend.settings.hook_addresses == "any"
    created = await backend.hooks.create(sent, caller, backend.feed.head(), private=private)
    return _answer(created, status=201)


@operation("GET", "/api/hooks", answers=HookList, scope="admin")
async def list_hooks(request: Request) -> web.Response:
    """List every webhook, oldest first, with its position and state, without its secret."""
    hooks, head = request.backend.hooks, request.backend.feed.head()
    await hooks.refresh()
    return _answer({"hooks": [hook.document(head) for hook in hooks.all()]})


@operation(
    "DELETE", "/api/hooks/{hook_id}", answers=HookOut, errors=[UnknownHookError], scope="admin"
)
async def remove_hook(request: Request) -> web.Response:
    """Remove a webhook: nothing more is sent to it."""
    hook_id, head = request.path_values["hook_id"], request.backend.feed.head()
    return _answer(await request.backend.hooks.remove(hook_id, head))


def _answer(document: dict[str, Any], *, status: int = 200) -> web.Response:
    headers = {"Content-Type": JSON, "Cache-Control": "no-store"}
    return web.Response(body=orjson.dumps(document), status=status, headers=headers)
