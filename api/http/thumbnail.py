"""Thumbnails of images and videos."""

from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import DrawingFailedError
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.parameters import MIN_POSITION, VERSION, Parameter, one_of
from asset_ledger.api.http.answers import POSITION, etag_matches, not_modified
from asset_ledger.api.http.assets import json_of_version
from asset_ledger.api.http.content import digest_of_asset
from asset_ledger.api.http.request import Request
from asset_ledger.api.thumbnails.cache import MEDIA_TYPE
from asset_ledger.api.thumbnails.cache import VERSION as DRAWN
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.frames import LARGEST
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    BusyError,
    ContentCollectedError,
    ContentDamagedError,
    UnknownAssetError,
)

_HEADERS: Final = {
    "Content-Type": MEDIA_TYPE,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_FOR_EVER: Final = "private, max-age=31536000, immutable"
"""The picture of a version never changes, and clients may keep it for a year."""

SIZES: Final = (160, 320, LARGEST, 1_600)
SIZE: Final = Parameter(
    "size",
    f"The most pixels a side; {LARGEST} if absent.",
    one_of([str(side) for side in SIZES]),
)


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
        BusyError,
    ],
    scope="read",
    parameters=[VERSION, SIZE, MIN_POSITION],
    gives=[MEDIA_TYPE],
    statuses=[200, 304],
    headers=["If-None-Match"],
)
async def get_thumbnail(request: Request) -> web.Response:
    """Return a WebP of an image, or of one frame of a video, of at most 512 pixels a side."""
    found = await request.projections.assets.find(request.user_id, request.asset_id)
    asset = orjson.loads(await json_of_version(request, found))
    digest = digest_of_asset(asset)
    side = int(request.parameters.get("size", LARGEST))
    etag = f'"{digest}-thumbnail-{DRAWN}-{side}"'
    if etag_matches(request.headers.get("If-None-Match"), etag):
        return not_modified(etag, found.position)
    picture = await request.backend.thumbnails.of(
        digest, asset["size"], asset["content_type"], side
    )
    keep = _FOR_EVER if "version" in request.parameters else "private, no-cache"
    headers = {**_HEADERS, "Cache-Control": keep, "ETag": etag, POSITION: str(found.position)}
    return web.Response(body=picture, headers=headers)
