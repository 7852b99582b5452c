"""Skip an event that stops projections, as an administrator."""

from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.skipping import SkipIn, SkipOut, skip_out
from asset_ledger.api.http.answers import write_answer
from asset_ledger.api.http.body import read_json_as
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import BusyError, KeyReusedError


@operation(
    "POST",
    "/api/projections/skip",
    answers=SkipOut,
    errors=[KeyReusedError, BusyError],
    scope="admin",
    takes=SkipIn,
    statuses=[200, 202],
    headers=["Idempotency-Key"],
)
async def skip_event(request: Request) -> web.Response:
    """Let the projections that an event stops continue without it. The log records that."""
    with request.slot():
        sent: dict[str, Any] = read_as(SkipIn, await read_json_as(request, JSON))
        position, because = sent["position"], sent["because"]
        skipped = await request.ledger.skip.event(request.call(), position, because, sent)
    return write_answer(orjson.dumps(skip_out(position, skipped)), skipped)
