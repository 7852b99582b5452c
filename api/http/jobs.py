"""A job's history, replayed from the log: every fact that names the job, in the log's order."""

from collections.abc import Sequence
from typing import Final

import orjson
from aiohttp import web

from api.contract.facts import fact_out
from api.contract.operations import operation
from api.contract.parameters import CURSOR, MAX_PAGE, PAGE_SIZE
from api.contract.shapes import FactPage
from api.http.answers import JSON
from api.http.request import Request
from ledger.errors import CursorError, UnknownJobError
from ledger.fact import Recorded
from projections.pages import open_cursor, seal_cursor

LINES: Final = "application/x-ndjson"


@operation(
    "GET",
    "/api/jobs/{job_id}/history",
    answers=FactPage,
    errors=[UnknownJobError, CursorError],
    scope="read",
    parameters=[PAGE_SIZE, CURSOR],
)
async def get_history(request: Request) -> web.StreamResponse:
    """The facts of a job, oldest first: a page of them, or all as NDJSON where that is accepted."""
    if request.accepts(LINES):
        return await _lines(request)
    size = request.asked["page_size"]
    facts = await _facts(request, _after(request), size + 1)
    more = len(facts) > size
    page = facts[:size]
    following = seal_cursor(page[-1].position, _binding(request)) if more else ""
    body = orjson.dumps({"facts": [fact_out(fact) for fact in page], "next": following})
    return web.Response(body=body, headers={"Content-Type": JSON})


async def _lines(request: Request) -> web.StreamResponse:
    """One fact a line, from the cursor to the end of the log, read page by page."""
    facts = await _facts(request, _after(request), MAX_PAGE)
    response = web.StreamResponse(headers={"Content-Type": LINES})
    await response.prepare(request)
    while facts and request.method != "HEAD":
        await response.write(b"".join(_line(fact) for fact in facts))
        facts = await _facts(request, facts[-1].position, MAX_PAGE)
    await response.write_eof()
    return response


def _line(fact: Recorded) -> bytes:
    return orjson.dumps(fact_out(fact), option=orjson.OPT_APPEND_NEWLINE)


async def _facts(request: Request, after: int, limit: int) -> Sequence[Recorded]:
    return await request.ledger.job_history(request.user_id, request.named["job_id"], after, limit)


def _after(request: Request) -> int:
    cursor = request.asked.get("cursor")
    return open_cursor(cursor, _binding(request)) if cursor else 0


def _binding(request: Request) -> bytes:
    return orjson.dumps(["history", request.user_id, request.named["job_id"]])
