"""Suggest values for a filter."""

import orjson
from aiohttp import web

from asset_ledger.api.contract.assets import FILTERS
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.values import VALUES, ValuesOut
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.request import Request


@operation(
    "GET",
    "/api/assets/values",
    answers=ValuesOut,
    scope="read",
    parameters=VALUES,
    projections=("usage", "catalog", "tables"),
)
async def list_values(request: Request) -> web.Response:
    """List the most frequent values of a field among the user's live assets."""
    values = request.parameters
    field, filters = values["field"], request.filters(FILTERS)
    found = await request.projections.values.most(
        request.user_id, field, values["prefix"], filters, values["limit"]
    )
    counts = [{"value": value, "count": count} for value, count in found.counts]
    return json_answer(orjson.dumps({"field": field, "values": counts}), found.position)
