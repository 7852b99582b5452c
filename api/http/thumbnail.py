"""Thumbnails of images and videos."""

from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import DrawingFailedError
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.parameters import MIN_POSITION, VERSION
from asset_ledger.api.http.answers import POSITION, etag_matches, not_modified
from asset_ledger.api.http.assets import json_of_version
from asset_ledger.api.http.content import digest_of_asset
from asset_ledger.api.http.request import Request
from asset_ledger.api.thumbnails.cache import MEDIA_TYPE
from asset_ledger.api.thumbnails.cache import VERSION as DRAWN
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    ContentCollectedError,
    ContentDamagedError,
    UnknownAssetError,
)

_HEADERS: Final = {
    "Content-Type": MEDIA_TYPE,
    "Cache-Control": "private, no-cache",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@operation(
    "GET",
    "/api/assets/{id}/thumbnail",
    errors=[
        UnknownAssetError,
        AssetDeletedError,
        UndrawableError,
        DrawingFailedError,
        ContentCollectedError,
        ContentDamagedError,
    ],
    scope="read",
    parameters=[VERSION, MIN_POSITION],
    gives=[MEDIA_TYPE],
    statuses=[200, 304],
    headers=["If-None-Match"],
)
async def get_thumbnail(request: Request) -> web.Response:
    """Return a WebP of at most 512 pixels a side, of an image or of one frame of a video."""
    found = await request.projections.assets.find(request.user_id, request.asset_id)
    asset = orjson.loads(await json_of_version(request, found))
    digest = digest_of_asset(asset)
    etag = f'"{digest}-thumbnail-{DRAWN}"'
    if etag_matches(request.headers.get("If-None-Match"), etag):
        return not_modified(etag, found.position)
    picture = await request.backend.thumbnails.of(digest, asset["size"], asset["content_type"])
    headers = {**_HEADERS, "ETag": etag, POSITION: str(found.position)}
    return web.Response(body=picture, headers=headers)
