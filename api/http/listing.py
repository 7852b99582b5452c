"""Pages of assets, and the link to the page after one. Every list of assets is answered here."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from api.contract.assets import FILTERS
from api.http.answers import json_answer
from api.http.request import Request

_FILTER_NAMES: Final = tuple(parameter.name for parameter in FILTERS)


async def asset_page(request: Request, **fixed: Sequence[str]) -> web.Response:
    """The page that the query asks for; `fixed` are filters that the path has set."""
    asked = request.asked
    page = await request.views.assets.page(
        request.user_id,
        {name: asked[name] for name in _FILTER_NAMES if name in asked} | fixed,
        sort=asked["sort"],
        page_size=asked["page_size"],
        cursor=asked.get("cursor", ""),
    )
    body = b'{"assets":[%b],"next":"%b"}' % (page.json, page.next.encode())
    return json_answer(body, page.position, headers=next_link(request, page.next))


def next_link(request: Request, following: str) -> dict[str, str]:
    """The next page as a link (RFC 8288), for clients that walk by it."""
    if not following:
        return {}
    url = request.rel_url.update_query(cursor=following)
    return {"Link": f'<{url.raw_path_qs}>; rel="next"'}
