"""Delete, change or restore many assets at once: count them first, then act if the count holds."""

from functools import partial
from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.contract.bulk import (
    MAX_BODY,
    BulkDeleteIn,
    BulkRestoredOut,
    BulkRestoreIn,
    BulkUpdatedOut,
    BulkUpdateIn,
    bulk_change,
    filters_of,
    find_of,
    ids_of,
    read_bulk,
    read_bulk_update,
)
from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.shapes import BulkDeletedOut
from asset_ledger.api.http.answers import json_answer, write_answer
from asset_ledger.api.http.body import read_json_as
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    NotRestorableError,
    ParameterError,
    UnknownAssetError,
    VersionConflictError,
)


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


@operation(
    "POST",
    "/api/assets/bulk-update",
    answers=BulkUpdatedOut,
    errors=[ParameterError, UnknownAssetError, AssetDeletedError, VersionConflictError],
    scope="write",
    takes=BulkUpdateIn,
    max_json=MAX_BODY,
)
async def bulk_update(request: Request) -> web.Response:
    """Add and remove tags of many assets, or move them; with `dry_run`, count them."""
    with request.slot():
        fields: dict[str, Any] = read_bulk_update(await read_json_as(request, JSON))
        user_id, assets = request.user_id, request.projections.assets
        change, find = bulk_change(fields, user_id), find_of(assets, user_id, fields)
        if fields["dry_run"]:
            count = len(await find())
            return json_answer(orjson.dumps({"count": count}), request.projections.position)
        expected = fields.get("expected_count")
        count, edition = await request.ledger.bulk_edit.assets(
            request.call(), find, expected, change, fields
        )
    body = orjson.dumps({"count": count, "updated_asset_ids": list(edition.ids)})
    return write_answer(body, edition)


@operation(
    "POST",
    "/api/assets/bulk-restore",
    answers=BulkRestoredOut,
    errors=[UnknownAssetError, NotRestorableError, VersionConflictError],
    scope="write",
    takes=BulkRestoreIn,
)
async def bulk_restore(request: Request) -> web.Response:
    """Restore deleted assets, all or none; folders with what was deleted along with them."""
    with request.slot():
        fields = read_as(BulkRestoreIn, await read_json_as(request, JSON))
        restored = await request.ledger.restore.assets(request.call(), ids_of(fields) or (), fields)
    body = orjson.dumps({"restored_asset_ids": list(restored.ids)})
    return write_answer(body, restored)
