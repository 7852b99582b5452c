"""Send a whole list of assets as NDJSON, a page at a time, so that memory stays constant."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from asset_ledger.api.http.answers import POSITION
from asset_ledger.api.http.request import Request
from asset_ledger.projections.queries.pages import Page

LINES: Final = "application/x-ndjson"


async def lines_answer(
    request: Request, read: Callable[[str], Awaitable[Page]], headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send every page from the request's cursor on: one asset a line.

    `read` returns the page at a cursor. The first is read before the head is sent, so errors still
    fit. `Ledger-Position` is that of the first page.
    """
    page = await read(request.parameters.get("cursor", ""))
    known = {"Content-Type": LINES, POSITION: str(page.position), **headers}
    response = web.StreamResponse(headers=known)
    await response.prepare(request)
    if request.method != "HEAD":
        following = page.next
        await response.write(_lines(page))
        while following:
            del page  # else two pages would be in memory
            page = await read(following)
            following = page.next
            await response.write(_lines(page))
    await response.write_eof()
    return response


def _lines(page: Page) -> bytes:
    return page.json.replace(b",\n", b"\n") + b"\n" if page.json else b""
