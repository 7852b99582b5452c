"""The tables, for whoever administers the ledger: what they are, and making them anew."""

from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import UnsupportedTypeError
from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.projections import DiffOut, ProjectionsOut, RebuildIn
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.body import read_optional_json
from asset_ledger.api.http.request import Request
from asset_ledger.api.workers.rebuild_status import status
from asset_ledger.api.workers.rebuilds import RunningRebuild
from asset_ledger.ledger.errors import (
    FieldError,
    GenerationError,
    MalformedBodyError,
    TooLargeError,
)


@operation("GET", "/api/projections", answers=ProjectionsOut, scope="admin")
async def get_projections(request: Request) -> web.Response:
    """The generation of the tables that serves, the one that is being made, the one before."""
    return await _answer(request)


@operation(
    "POST",
    "/api/projections/rebuild",
    answers=ProjectionsOut,
    errors=[MalformedBodyError, UnsupportedTypeError, FieldError, TooLargeError],
    scope="admin",
    takes=RebuildIn,
    statuses=[202],
)
async def rebuild_projections(request: Request) -> web.Response:
    """Make the tables anew from the events, beside those in use. One that runs goes on."""
    sent: dict[str, Any] = read_as(RebuildIn, await read_optional_json(request))
    begun = request.backend.rebuilds.start(dry_run=sent["dry_run"])
    return await _answer(request, 202, begun)


@operation("POST", "/api/projections/cancel", answers=ProjectionsOut, scope="admin", statuses=[200])
async def cancel_rebuild(request: Request) -> web.Response:
    """End what is being made, if anything is; those in use stay."""
    await request.backend.rebuilds.cancel()
    return await _answer(request)


@operation(
    "POST",
    "/api/projections/rollback",
    answers=ProjectionsOut,
    errors=[GenerationError],
    scope="admin",
    statuses=[202],
)
async def roll_back_projections(request: Request) -> web.Response:
    """Go back to the generation that was in use before, once it has caught up."""
    begun = await request.backend.rebuilds.roll_back()
    return await _answer(request, 202, begun)


@operation("GET", "/api/projections/diff", answers=DiffOut, scope="admin")
async def get_difference(request: Request) -> web.Response:
    """Which rows and columns of the tables the last rebuild has changed, or would have."""
    compared = request.backend.rebuilds.compared
    headers = {"Content-Type": JSON, "Cache-Control": "no-store"}
    return web.Response(body=orjson.dumps({"compared": compared}), headers=headers)


async def _answer(
    request: Request, code: int = 200, begun: RunningRebuild | None = None
) -> web.Response:
    backend = request.backend
    folder, projections = backend.settings.data_dir, backend.projections
    document = await status(folder, projections, backend.rebuilds, begun)
    headers = {"Cache-Control": "no-store"}
    return json_answer(orjson.dumps(document), projections.position, status=code, headers=headers)
