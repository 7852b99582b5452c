"""The API description: OpenAPI at /openapi.json, and an HTML page at /docs.

Promise: the page loads and runs only files of this server.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import UnknownRouteError
from asset_ledger.api.contract.openapi import openapi
from asset_ledger.api.contract.operations import JSON, Operation, operation
from asset_ledger.api.http.request import Request

_STATIC: Final = Path(__file__).with_name("static")

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
}
_FILES: Final = {"docs.js": "text/javascript", "docs.css": "text/css"}


@operation("GET", "/openapi.json", gives=[JSON])
async def get_openapi(request: Request) -> web.Response:
    """Return this description in OpenAPI 3.1."""
    return _file(request.openapi(), JSON)


@operation("GET", "/docs", gives=["text/html"])
async def get_docs(_: Request) -> web.Response:
    """Return this description as an HTML page."""
    return _file((_STATIC / "docs.html").read_bytes(), "text/html; charset=utf-8")


@operation("GET", "/docs/{file}", errors=[UnknownRouteError], gives=[*_FILES.values()])
async def get_docs_file(request: Request) -> web.Response:
    """Return a script or style sheet of the page."""
    name = request.path_values["file"]
    if name not in _FILES:
        raise UnknownRouteError(request.rel_url.raw_path)
    return _file((_STATIC / name).read_bytes(), f"{_FILES[name]}; charset=utf-8")


def _file(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": content_type, **_HEADERS})


def openapi_json(operations: Sequence[Operation], *, authenticated: bool) -> bytes:
    """Return the OpenAPI document of these operations."""
    document = openapi(operations, version=version("asset-ledger"), authenticated=authenticated)
    return orjson.dumps(document)
