"""Links of NodeTool, `/api/storage/<key>`, which workflow files hold, lead to the imported assets.

NodeTool's keys are `<id>.<ext>`, today below a folder with the owner's id, and `<id>_thumb.jpg`.
"""

import re
from typing import Final

from aiohttp import web

from asset_ledger.api.contract.errors import RangeError
from asset_ledger.api.contract.operations import BYTES, operation
from asset_ledger.api.contract.parameters import MIN_POSITION
from asset_ledger.api.http import content, thumbnail
from asset_ledger.api.http.request import Request
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    PreconditionFailedError,
    ProjectionBehindError,
    UnknownAssetError,
)

_KEY: Final = re.compile(r"(?:(?P<owner>[^/]+)/)?(?P<id>[^/._]+)(?P<thumb>_thumb)?(?:\.[^/]*)?")


@operation(
    "GET",
    "/api/storage/{key...}",
    errors=[
        UnknownAssetError,
        AssetDeletedError,
        PreconditionFailedError,
        RangeError,
        UndrawableError,
        ProjectionBehindError,
    ],
    scope="read",
    parameters=[MIN_POSITION],
    gives=[BYTES, "*/*"],
    statuses=[200, 206, 304],
    headers=["If-Match", "If-None-Match", "Range", "If-Range"],
)
async def get_stored(request: Request) -> web.StreamResponse:
    """Return the bytes of an asset, or its thumbnail, by the key that NodeTool gave it."""
    key = request.path_values["key"]
    found = _KEY.fullmatch(key)
    if found is None or (found["owner"] or request.user_id) != request.user_id:
        raise UnknownAssetError(key)
    request.path_values = {"id": found["id"].replace("-", "").lower()}
    entry = thumbnail.get_thumbnail if found["thumb"] else content.get_content
    response: web.StreamResponse = await entry.handler(request)
    return response
