"""Find assets by words in their names, tags and metadata, or by an exact name."""

from aiohttp import web

from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.parameters import MIN_POSITION
from asset_ledger.api.contract.search import SEARCH, SEARCH_FILTERS
from asset_ledger.api.contract.shapes import AssetOut, FoundPage
from asset_ledger.api.http.answers import json_answer, next_link
from asset_ledger.api.http.assets import asset_answer
from asset_ledger.api.http.request import Request
from asset_ledger.api.http.searching import search_headers
from asset_ledger.ledger.errors import UnknownAssetError


@operation(
    "GET",
    "/api/assets/search",
    answers=FoundPage,
    scope="read",
    parameters=SEARCH,
    projections=("search", "tables"),
)
async def search_assets(request: Request) -> web.Response:
    """List the user's live assets that contain every word, newest first, with their folders."""
    values = request.parameters
    headers = await search_headers(request)
    found = await request.projections.search.page(
        request.user_id,
        values["query"],
        request.filters(SEARCH_FILTERS),
        page_size=values["page_size"],
        cursor=values.get("cursor", ""),
    )
    body = b'{"assets":[%b],"next_cursor":"%b","total_count":%d,"is_global_search":true}' % (
        found.json,
        found.next.encode(),
        found.total,
    )
    return json_answer(body, found.position, headers=next_link(request, found.next) | headers)


@operation(
    "GET",
    "/api/assets/by-filename/{name}",
    answers=AssetOut,
    errors=[UnknownAssetError],
    scope="read",
    parameters=[MIN_POSITION],
    projections=("catalog", "tables"),
    statuses=[200, 304],
    headers=["If-None-Match"],
)
async def get_asset_by_filename(request: Request) -> web.Response:
    """Return the newest of the user's live assets with exactly this name."""
    projections = request.projections
    asset_id = await projections.catalog.named(request.user_id, request.path_values["name"])
    found = await projections.assets.find(request.user_id, asset_id)
    return asset_answer(request, found)
