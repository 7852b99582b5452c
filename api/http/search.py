"""Finding assets by the words in their names, tags and metadata."""

from aiohttp import web

from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.parameters import MIN_POSITION
from asset_ledger.api.contract.search import SEARCH, SEARCH_FILTERS
from asset_ledger.api.contract.shapes import AssetOut, FoundPage
from asset_ledger.api.http.answers import (
    json_answer,
    next_link,
)
from asset_ledger.api.http.assets import asset_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import (
    CursorError,
    ParameterError,
    ProjectionBehindError,
    UnknownAssetError,
)


@operation(
    "GET",
    "/api/assets/search",
    answers=FoundPage,
    errors=[ParameterError, CursorError, ProjectionBehindError],
    scope="read",
    parameters=SEARCH,
    projections=("search", "tables"),
)
async def search_assets(request: Request) -> web.Response:
    """The caller's live assets that have every word, the newest first, with their folders."""
    asked = request.asked
    found = await request.projections.search.page(
        request.user_id,
        asked["query"],
        request.filters(SEARCH_FILTERS),
        page_size=asked["page_size"],
        cursor=asked.get("cursor", ""),
    )
    body = b'{"assets":[%b],"next_cursor":"%b","total_count":%d,"is_global_search":true}' % (
        found.json,
        found.next.encode(),
        found.total,
    )
    return json_answer(body, found.position, headers=next_link(request, found.next))


@operation(
    "GET",
    "/api/assets/by-filename/{name}",
    answers=AssetOut,
    errors=[UnknownAssetError, ProjectionBehindError],
    scope="read",
    parameters=[MIN_POSITION],
    projections=("search", "tables"),
    statuses=[200, 304],
    headers=["If-None-Match"],
)
async def get_asset_by_filename(request: Request) -> web.Response:
    """The newest of the caller's live assets with exactly this name."""
    projections = request.projections
    await projections.reach(projections.position, ("search",))  # who has just uploaded it means it
    asset_id = await projections.search.named(request.user_id, request.named["name"])
    found = await projections.assets.find(request.user_id, asset_id)
    return asset_answer(request, found)
