"""Operations on the generations of tables, for administrators: status, rebuild, rollback."""

from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.projections import DiffOut, ProjectionsOut, RebuildIn
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.body import read_optional_json
from asset_ledger.api.http.request import Request
from asset_ledger.api.workers.rebuild_status import status
from asset_ledger.api.workers.rebuilds import RunningRebuild
from asset_ledger.ledger.errors import GenerationError


@operation("GET", "/api/projections", answers=ProjectionsOut, scope="admin")
async def get_projections(request: Request) -> web.Response:
    """Return the generation of tables in use, the one being built and the previous one."""
    return await _answer(request)


@operation(
    "POST",
    "/api/projections/rebuild",
    answers=ProjectionsOut,
    scope="admin",
    takes=RebuildIn,
    statuses=[202],
)
async def rebuild_projections(request: Request) -> web.Response:
    """Start a rebuild of the tables from the log. A rebuild that runs already continues."""
    sent: dict[str, Any] = read_as(RebuildIn, await read_optional_json(request))
    begun = request.backend.rebuilds.start(dry_run=sent["dry_run"])
    return await _answer(request, 202, begun)


@operation("POST", "/api/projections/cancel", answers=ProjectionsOut, scope="admin", statuses=[200])
async def cancel_rebuild(request: Request) -> web.Response:
    """Cancel the rebuild, if one runs. The tables in use stay."""
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
    """Return to the previous generation of tables, once it has caught up with the log."""
    begun = await request.backend.rebuilds.roll_back()
    return await _answer(request, 202, begun)


@operation("GET", "/api/projections/diff", answers=DiffOut, scope="admin")
async def get_difference(request: Request) -> web.Response:
    """Return the rows and columns that the last rebuild changed, or would have changed."""
    compared = request.backend.rebuilds.compared
    headers = {"Content-Type": JSON, "Cache-Control": "no-store"}
    return web.Response(body=orjson.dumps({"compared": compared}), headers=headers)


async def _answer(
    request: Request, code: int = 200, begun: RunningRebuild | None = None
) -> web.Response:
    backend = request.backend
    projections = backend.projections
    document = await status(projections, backend.rebuilds, begun)
    headers = {"Cache-Control": "no-store"}
    return json_answer(orjson.dumps(document), projections.position, status=code, headers=headers)
