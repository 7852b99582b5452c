"""Pages of assets, and the link to the page after one. Every list of assets is answered here."""

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from asset_ledger.api.contract.assets import FILTERS
from asset_ledger.api.contract.parameters import refuse
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.log.event_log import Tag
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.as_of import PastQuery
from asset_ledger.projections.queries.pages import Page

Words = Mapping[str, Sequence[str]]

_FILTER_NAMES: Final = tuple(parameter.name for parameter in FILTERS)


async def asset_page(request: Request, **fixed: Sequence[str]) -> web.Response:
    """The page that the query asks for; `fixed` are filters that the path has set."""
    asked = request.asked
    words = {name: asked[name] for name in _FILTER_NAMES if name in asked} | fixed
    position = await request.as_of()
    if position is None:
        page = await _page(request, words)
    else:
        page = await _page_as_of(request, words, position)
    count = b',"count":%d' % await _count(request, words, position) if "count" in asked else b""
    body = b'{"assets":[%b],"next":"%b"%b}' % (page.json, page.next.encode(), count)
    return json_answer(body, page.position, headers=next_link(request, page.next))


async def _page(request: Request, words: Words) -> Page:
    return await request.views.assets.page(
        request.user_id,
        words,
        sort=request.asked["sort"],
        page_size=request.asked["page_size"],
        cursor=request.asked.get("cursor", ""),
        deleted=request.asked.get("deleted", "false"),
    )


async def _count(request: Request, words: Words, position: int | None) -> int:
    if position is not None:
        raise refuse("count", "is not told of a list as_of a position")
    deleted = request.asked.get("deleted", "false")
    return await request.views.assets.count(request.user_id, words, deleted=deleted)


async def _page_as_of(request: Request, words: Words, position: int) -> Page:
    asked, user_id = request.asked, request.user_id
    query = PastQuery.of(
        user_id,
        words,
        asked["sort"],
        asked["page_size"],
        asked.get("cursor", ""),
        asked.get("deleted", "false"),
    )
    found, edge = await request.ledger.replay(
        Replay.assets_of_tag,
        Tag(user_id, query.kind, query.value),
        query.after,
        query.size + 1,
        upto=position,
        wants=query.wants,
    )
    return query.page(found, edge, position)


def next_link(request: Request, following: str) -> dict[str, str]:
    """The next page as a link (RFC 8288), for clients that walk by it."""
    if not following:
        return {}
    url = request.rel_url
    kept = [p for p in url.raw_query_string.split("&") if p and not p.startswith("cursor=")]
    query = "&".join([*kept, f"cursor={following}"])
    return {"Link": f'<{url.raw_path}?{query}>; rel="next"'}
