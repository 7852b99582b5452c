"""The caller, and sessions of browsers: a cookie that also pictures, films and downloads carry.

Promise: the cookie is sent by pages of this server only, and no script can read it.
"""

import asyncio
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import MissingScopeError, UnauthenticatedError
from asset_ledger.api.contract.fields import parse_field, read_patch
from asset_ledger.api.contract.operations import ANY, JSON, operation
from asset_ledger.api.contract.principal import SCOPES, Credential, check_user_id
from asset_ledger.api.contract.session import SessionIn, SessionOut
from asset_ledger.api.http.auth import check_not_foreign
from asset_ledger.api.http.body import read_json_as
from asset_ledger.api.http.request import Request
from asset_ledger.api.thumbnails.cache import drawn_kinds
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.errors import FieldError, StorageFailedError

_NO_STORE = {"Cache-Control": "no-store"}


@operation("GET", "/api/session", answers=SessionOut, scope=ANY)
async def get_session(request: Request) -> web.Response:
    """Return the caller, its scopes, and the server's limits and version."""
    settings, (caller, expires_at, name, *_) = request.backend.settings, request.credential
    document = {
        "auth": settings.auth,
        "user_id": caller.user_id,
        "for_user": request.user_id if request.user_id != caller.user_id else None,
        "name": name,
        "scopes": [scope for scope in SCOPES if scope in caller.scopes],
        "expires_at": iso(expires_at) if expires_at else None,
        "limits": {"max_upload_bytes": settings.max_upload_bytes or None},
        "version": _version(),
        "origin": request.proofs.origin,
        "previews": drawn_kinds(),
    }
    headers = {"Content-Type": JSON, **_NO_STORE}
    return web.Response(body=orjson.dumps(document), headers=headers)


@operation(
    "POST",
    "/api/session",
    errors=[UnauthenticatedError, MissingScopeError, StorageFailedError],
    takes=SessionIn,
    statuses=[204],
)
async def sign_in(request: Request) -> web.Response:
    """Exchange a token for the cookie of a session, or act for another user from now on.

    Without authentication, there is a session only to act for another user.
    """
    check_not_foreign(request.headers)  # else another site could sign its own user in
    sent: Mapping[str, Any] = read_patch(SessionIn, await read_json_as(request, JSON))
    credential = await _credential(request, sent)
    response = web.Response(status=204, headers=_NO_STORE)
    if credential is not None:
        await _end(request)
        text = await asyncio.to_thread(request.backend.sessions.start, credential)
        response.set_cookie(request.session_cookie, text, **_attributes(request))
    return response


async def _credential(request: Request, sent: Mapping[str, Any]) -> Credential | None:
    """Return what the session allows; None if there is none. Raises FieldError without a field."""
    if "for_user" not in sent and "token" not in sent:
        raise FieldError("token", "is required, or for_user")
    credential = await request.sign_in(sent["token"]) if "token" in sent else None
    if "for_user" not in sent:
        return credential
    credential = credential or await request.authenticate(request)
    user_id = parse_field("for_user", check_user_id, sent["for_user"])
    credential.principal.owner(None, user_id)  # refuses a caller that is no admin
    return credential._replace(for_user=user_id)


@operation("DELETE", "/api/session", errors=[StorageFailedError], statuses=[204])
async def sign_out(request: Request) -> web.Response:
    """End the session of the cookie. Without one, nothing happens."""
    check_not_foreign(request.headers)
    await _end(request)
    response = web.Response(status=204, headers=_NO_STORE)
    response.del_cookie(request.session_cookie, **_attributes(request))
    return response


async def _end(request: Request) -> None:
    if (text := request.session_text) is not None:
        await asyncio.to_thread(request.backend.sessions.end, text)


def _attributes(request: Request) -> dict[str, Any]:
    """Return the cookie's attributes. A page over HTTPS says so: the server sees its proxy."""
    origin = request.headers.get("Origin", "")
    forwarded = request.headers.get("X-Forwarded-Proto", "")
    is_secure = origin.startswith("https://") or forwarded == "https"
    return {"path": "/", "httponly": True, "samesite": "Strict", "secure": is_secure}


@cache
def _version() -> str:
    return version("asset-ledger")
