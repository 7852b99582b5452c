"""Find assets by words in their names, tags and metadata, or by an exact name."""

from typing import Final

from aiohttp import web

from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.parameters import MIN_POSITION
from asset_ledger.api.contract.search import SEARCH, SEARCH_FILTERS
from asset_ledger.api.contract.shapes import AssetOut, FoundPage
from asset_ledger.api.http.answers import json_answer, next_link
from asset_ledger.api.http.assets import asset_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import ProjectionBehindError, UnknownAssetError

PATIENCE: Final = 0.1
"""Seconds that a search waits for the index to reach the log's head at its arrival."""


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
    fresh = "min_position" in values or await _reaches_the_head(request)
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
    behind = {} if fresh else {"Ledger-Projection": "behind"}
    return json_answer(body, found.position, headers=next_link(request, found.next) | behind)


async def _reaches_the_head(request: Request) -> bool:
    """Wait for the index, so that a client finds what it recorded before. Count a vain wait."""
    try:
        await request.projections.runners["search"].wait_for(request.backend.feed.head(), PATIENCE)
    except ProjectionBehindError:
        request.counts.searches_behind += 1
        return False
    return True


@operation(
    "GET",
    "/api/assets/by-filename/{name}",
    answers=AssetOut,
    errors=[UnknownAssetError],
    scope="read",
    parameters=[MIN_POSITION],
    projections=("search", "tables"),
    statuses=[200, 304],
    headers=["If-None-Match"],
)
async def get_asset_by_filename(request: Request) -> web.Response:
    """Return the newest of the user's live assets with exactly this name."""
    projections = request.projections
    await projections.reach(projections.position, ("search",))  # else a new upload is not found
    asset_id = await projections.search.named(request.user_id, request.path_values["name"])
    found = await projections.assets.find(request.user_id, asset_id)
    return asset_answer(request, found)
