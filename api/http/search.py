"""Finding assets by the words in their names, tags and metadata."""

from aiohttp import web

from api.contract.operations import operation
from api.contract.search import SEARCH, SEARCH_FILTERS
from api.contract.shapes import FoundPage
from api.http.answers import json_answer
from api.http.listing import next_link
from api.http.request import Request
from ledger.errors import CursorError, ParameterError, ViewBehindError


@operation(
    "GET",
    "/api/assets/search",
    answers=FoundPage,
    errors=[ParameterError, CursorError, ViewBehindError],
    scope="read",
    parameters=SEARCH,
    views=("search", "tables"),
)
async def search_assets(request: Request) -> web.Response:
    """The caller's live assets that have every word, the newest first, with their folders."""
    asked = request.asked
    found = await request.views.search.page(
        request.user_id,
        asked["query"],
        {each.name: asked[each.name] for each in SEARCH_FILTERS if each.name in asked},
        page_size=asked["page_size"],
        cursor=asked.get("cursor", ""),
    )
    body = b'{"assets":[%b],"next_cursor":"%b","total_count":%d,"is_global_search":true}' % (
        found.json,
        found.next.encode(),
        found.total,
    )
    return json_answer(body, found.position, headers=next_link(request, found.next))
