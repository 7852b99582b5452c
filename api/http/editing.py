"""Operations that change assets: fields, content, restoring a deleted one."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from asset_ledger.api.contract.editing import MAX_UPDATE, AssetPatch, AssetUpdate
from asset_ledger.api.contract.operations import BYTES, operation
from asset_ledger.api.contract.shapes import AssetOut
from asset_ledger.api.http.answers import asset_etag, json_answer, minimal, write_headers
from asset_ledger.api.http.request import Request
from asset_ledger.api.http.update import Update
from asset_ledger.ledger.commands.call import Receipt
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    BusyError,
    DigestMismatchError,
    FieldError,
    KeyReusedError,
    LedgerError,
    MalformedBodyError,
    PreconditionFailedError,
    TooLargeError,
    UnknownAssetError,
    VersionConflictError,
)
from asset_ledger.projections.tables.assets import document_json

_WRITE_ERRORS: Final[Sequence[type[LedgerError]]] = (
    UnknownAssetError,
    VersionConflictError,
    PreconditionFailedError,
    KeyReusedError,
    BusyError,
)
_CHANGE_ERRORS: Final[Sequence[type[LedgerError]]] = (
    *_WRITE_ERRORS,
    AssetDeletedError,
    MalformedBodyError,
    FieldError,
    TooLargeError,
)


@operation(
    "PUT",
    "/api/assets/{id}",
    answers=AssetOut,
    errors=_CHANGE_ERRORS,
    scope="write",
    takes=AssetUpdate,
    max_json=MAX_UPDATE,
    headers=["If-Match", "Prefer"],
    statuses=[200, 202, 204],
)
async def update_asset(request: Request) -> web.Response:
    """Change the fields that are not null; `data` is new bytes, for a new version."""
    with request.slot():
        async with Update(request) as update:
            receipt = await request.ledger.edit.asset(
                request.call(), request.asset_id, *await update.put()
            )
    return _changed(request, receipt)


@operation(
    "PUT",
    "/api/assets/{id}/content",
    answers=AssetOut,
    errors=[*_CHANGE_ERRORS, DigestMismatchError],
    scope="write",
    takes={BYTES: {"type": "string", "format": "binary"}},
    headers=["If-Match", "Prefer", "Repr-Digest", "Content-Digest"],
    statuses=[200, 202, 204],
)
async def replace_content(request: Request) -> web.Response:
    """Replace the bytes of an asset with the body; its Content-Type, if sent, becomes theirs."""
    with request.slot():
        async with Update(request) as update:
            receipt = await request.ledger.edit.asset(
                request.call(), request.asset_id, *await update.content()
            )
    return _changed(request, receipt)


@operation(
    "PATCH",
    "/api/assets/{id}",
    answers=AssetOut,
    errors=_CHANGE_ERRORS,
    scope="write",
    takes={"application/merge-patch+json": AssetPatch, "application/json": AssetPatch},
    headers=["If-Match", "Prefer"],
    statuses=[200, 202, 204],
)
async def patch_asset(request: Request) -> web.Response:
    """Change the fields in a JSON merge patch (RFC 7396): null clears a field."""
    with request.slot():
        async with Update(request) as update:
            receipt = await request.ledger.edit.asset(
                request.call(), request.asset_id, *await update.patch()
            )
    return _changed(request, receipt)


@operation(
    "POST",
    "/api/assets/{id}/restore",
    answers=AssetOut,
    errors=_WRITE_ERRORS,
    scope="write",
    headers=["If-Match", "Prefer"],
    statuses=[200, 202, 204],
)
async def restore_asset(request: Request) -> web.Response:
    """Restore a deleted asset; a folder with what was deleted along with it."""
    with request.slot():
        receipt = await request.ledger.restore.asset(request.call(), request.asset_id)
    return _changed(request, receipt)


def _changed(request: Request, receipt: Receipt) -> web.Response:
    """Return the asset after a write, or 204 for `Prefer: return=minimal`."""
    headers = {"ETag": asset_etag(receipt.asset.version), **write_headers(receipt)}
    if request.prefers("return=minimal") and not receipt.behind:
        return minimal(receipt.position, status=204, headers=headers)
    body = document_json(receipt.asset).encode()
    status = 202 if receipt.behind else 200
    return json_answer(body, receipt.position, status=status, headers=headers)
