"""Delete many assets at once: count them first, then delete if the count is unchanged."""

from functools import partial
from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.contract.bulk import BulkDeleteIn, filters_of, read_bulk
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.shapes import BulkDeletedOut
from asset_ledger.api.http.answers import json_answer, write_answer
from asset_ledger.api.http.body import read_json_as
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import ParameterError, VersionConflictError


@operation(
    "POST",
    "/api/assets/bulk-delete",
    answers=BulkDeletedOut,
    errors=[ParameterError, VersionConflictError],
    scope="write",
    takes=BulkDeleteIn,
)
async def bulk_delete(request: Request) -> web.Response:
    """Delete the live assets that match every filter; with `dry_run`, count them."""
    with request.slot():
        fields: dict[str, Any] = read_bulk(await read_json_as(request, JSON))
        filters = filters_of(fields)
        if fields["dry_run"]:
            count = await request.projections.assets.count(request.user_id, filters)
            return json_answer(orjson.dumps({"count": count}), request.projections.position)
        find = partial(request.projections.assets.matching, request.user_id, filters)
        count, deletion = await request.ledger.delete.matching(
            request.call(), find, fields["expected_count"], fields
        )
    body = orjson.dumps({"count": count, "deleted_asset_ids": list(deletion.ids)})
    return write_answer(body, deletion)
