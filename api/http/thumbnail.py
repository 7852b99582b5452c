"""Thumbnails of images and videos, and what clients show before the bytes are there."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import DrawingFailedError
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.parameters import (
    MAX_VALUES,
    MIN_POSITION,
    VERSION,
    Parameter,
    one_of,
    required,
)
from asset_ledger.api.contract.placeholders import (
    IDS,
    PEAKS,
    PeaksOut,
    PlaceholderOut,
    PlaceholdersOut,
)
from asset_ledger.api.http.answers import POSITION, etag_matches, json_answer, not_modified
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
from asset_ledger.ledger.ids import Digest

_HEADERS: Final = {
    "Content-Type": MEDIA_TYPE,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_FOR_EVER: Final = "private, max-age=31536000, immutable"
"""The picture of a version never changes, and clients may keep it for a year."""

_ERRORS: Final = (
    UnknownAssetError,
    AssetDeletedError,
    UndrawableError,
    DrawingFailedError,
    ContentCollectedError,
    ContentDamagedError,
    BusyError,
)

SIZES: Final = (160, 320, LARGEST, 1_600)
SIZE: Final = Parameter(
    "size",
    f"The most pixels a side; {LARGEST} if absent.",
    one_of([str(side) for side in SIZES]),
)


class _Source(NamedTuple):
    """The content of an asset at the version that is asked for. `keep`: for how long to cache."""

    digest: Digest
    size: int
    content_type: str
    asset: Mapping[str, Any]
    position: int
    keep: str


async def _source(request: Request) -> _Source:
    """Return what a request asks about.

    Raises UnknownAssetError, AssetDeletedError, ContentCollectedError.
    """
    finding = request.projections.assets.find(request.user_id, request.asset_id)
    found = await request.ledger.unless_collected(request.user_id, request.asset_id, finding)
    asset = orjson.loads(await json_of_version(request, found))
    keep = _FOR_EVER if "version" in request.parameters else "private, no-cache"
    content = digest_of_asset(asset), asset["size"], asset["content_type"]
    return _Source(*content, asset, found.position, keep)


@operation(
    "GET",
    "/api/assets/{id}/thumbnail",
    errors=_ERRORS,
    scope="read",
    parameters=[VERSION, SIZE, MIN_POSITION],
    gives=[MEDIA_TYPE],
    statuses=[200, 304],
    headers=["If-None-Match"],
)
async def get_thumbnail(request: Request) -> web.Response:
    """Return a WebP of an image, or of one frame of a video, of at most 512 pixels a side."""
    source = await _source(request)
    side = int(request.parameters.get("size", LARGEST))
    etag = f'"{source.digest}-thumbnail-{DRAWN}-{side}"'
    if etag_matches(request.headers.get("If-None-Match"), etag):
        return not_modified(etag, source.position)
    content = source.digest, source.size, source.content_type
    picture = await request.backend.thumbnails.of(*content, side)
    headers = {**_HEADERS, "Cache-Control": source.keep, "ETag": etag}
    return web.Response(body=picture, headers={**headers, POSITION: str(source.position)})


@operation(
    "GET",
    "/api/assets/{id}/placeholder",
    answers=PlaceholderOut,
    errors=_ERRORS,
    scope="read",
    parameters=[VERSION, MIN_POSITION],
)
async def get_placeholder(request: Request) -> web.Response:
    """Return width, height and ThumbHash of an image or a video; it is drawn if it was not yet."""
    source = await _source(request)
    content = source.digest, source.size, source.content_type
    found = await request.backend.thumbnails.placeholder(*content)
    document = {"id": source.asset["id"], "version": source.asset["version"], **found}
    keep = {"Cache-Control": source.keep}
    return json_answer(orjson.dumps(document), source.position, headers=keep)


@operation(
    "GET",
    "/api/assets/placeholders",
    answers=PlaceholdersOut,
    scope="read",
    parameters=[IDS, MIN_POSITION],
)
async def list_placeholders(request: Request) -> web.Response:
    """List the placeholders of assets as far as they are known: nothing is drawn."""
    ids, known, cursor = {"id": required(request.parameters, "id")}, list[dict[str, Any]](), ""
    read = partial(request.projections.assets.page, request.user_id, ids, page_size=MAX_VALUES)
    while True:
        page = await read(cursor=cursor)
        known += await asyncio.to_thread(_known, request, orjson.loads(b"[%b]" % page.json))
        if not (cursor := page.next):  # a page ends after 1 MiB of assets
            return json_answer(orjson.dumps({"placeholders": known}), page.position)


def _known(request: Request, assets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Read the cache. Blocks."""
    known = request.backend.thumbnails.known_placeholder
    drawable = (asset for asset in assets if asset["thumb_url"] is not None)
    found = ((asset, known(asset["digest"], asset["content_type"])) for asset in drawable)
    return [
        {"id": asset["id"], "version": asset["version"], **placeholder}
        for asset, placeholder in found
        if placeholder is not None
    ]


@operation(
    "GET",
    "/api/assets/{id}/peaks",
    answers=PeaksOut,
    errors=_ERRORS,
    scope="read",
    parameters=[VERSION, PEAKS, MIN_POSITION],
)
async def get_peaks(request: Request) -> web.Response:
    """Return how loud the parts of a sound are, for a waveform. It is measured once."""
    source = await _source(request)
    content = source.digest, source.size, source.content_type
    found = await request.backend.thumbnails.loudness(*content, request.parameters["n"])
    keep = {"Cache-Control": source.keep}
    return json_answer(orjson.dumps(found), source.position, headers=keep)
