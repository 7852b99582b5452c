"""Send the bytes of an asset, whole or one range, in constant memory; no browser runs them."""

from typing import Any, Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import NoContentError, RangeError
from asset_ledger.api.contract.operations import BYTES, operation
from asset_ledger.api.contract.parameters import MIN_POSITION, VERSION
from asset_ledger.api.http.answers import POSITION, etag_matches, if_match_allows, not_modified
from asset_ledger.api.http.assets import json_of_version
from asset_ledger.api.http.content_headers import Span, repr_digest, requested_range, safety_headers
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.content.store import Content
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    ContentCollectedError,
    ContentDamagedError,
    PreconditionFailedError,
    UnknownAssetError,
)
from asset_ledger.ledger.ids import Digest

FRESHNESS: Final = {"Cache-Control": "private, no-cache", "Accept-Ranges": "bytes"}


@operation(
    "GET",
    "/api/assets/{id}/content",
    aliases=("/api/assets/{id}/download",),
    errors=[
        UnknownAssetError,
        AssetDeletedError,
        PreconditionFailedError,
        RangeError,
        ContentCollectedError,
        ContentDamagedError,
    ],
    scope="read",
    parameters=[VERSION, MIN_POSITION],
    gives=[BYTES, "*/*"],
    statuses=[200, 206, 304],
    headers=["If-Match", "If-None-Match", "Range", "If-Range"],
)
async def get_content(request: Request) -> web.StreamResponse:
    """Return the bytes of an asset, or one range of them, as they are or at a version."""
    finding = request.projections.assets.find(request.user_id, request.asset_id)
    found = await request.ledger.unless_collected(request.user_id, request.asset_id, finding)
    asset = orjson.loads(await json_of_version(request, found))
    digest = digest_of_asset(asset)
    etag = f'"{digest}"'
    if not if_match_allows(request.headers.get("If-Match"), etag):
        raise PreconditionFailedError(asset["id"], asset["version"])
    if etag_matches(request.headers.get("If-None-Match"), etag):
        return not_modified(etag, found.position)
    span = _span(request, etag, asset["size"])
    headers = {"ETag": etag, "Repr-Digest": repr_digest(digest), POSITION: str(found.position)}
    response = content_response(asset, span)
    response.headers.update(headers)
    content = await request.ledger.open_content(digest, asset["size"])
    try:
        await send_content(request, response, content, span or Span(0, asset["size"]))
    finally:
        await content.close()
    return response


def digest_of_asset(asset: dict[str, Any]) -> Digest:
    """Return the digest in an asset's document. Raises NoContentError."""
    if asset["digest"] is None:
        raise NoContentError(asset["id"])
    return Digest(asset["digest"])


def _span(request: Request, etag: str, size: int) -> Span | None:
    """Return the requested range; None where If-Range names other bytes."""
    if request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return None
    return requested_range(request.headers.get("Range"), size)


def content_response(asset: dict[str, Any], span: Span | None) -> web.StreamResponse:
    """Return the head of an asset's bytes, or of a range of them; a browser runs none of them."""
    headers = {"Content-Type": asset["content_type"], **FRESHNESS}
    headers |= safety_headers(asset["name"], asset["content_type"])
    size = asset["size"]
    if span is None:
        return web.StreamResponse(headers={"Content-Length": str(size), **headers})
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    headers["Content-Length"] = str(span.stop - span.start)
    return web.StreamResponse(status=206, headers=headers)


async def send_content(
    request: Request, response: web.StreamResponse, content: Content, span: Span
) -> None:
    """Send the head once the first piece is read: damage found until then is a problem."""
    chunks = content.chunks(*span)
    first = b"" if request.method == "HEAD" else await anext(chunks, b"")
    await response.prepare(request)
    if first:
        await response.write(first)
        async for chunk in chunks:
            await response.write(chunk)
    await response.write_eof()
