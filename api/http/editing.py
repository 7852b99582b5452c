"""Operations that change assets: fields, content, restoring a deleted one."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from asset_ledger.api.contract.editing import MAX_UPDATE, AssetPatch, AssetUpdate
from asset_ledger.api.contract.operations import BYTES, operation
from asset_ledger.api.contract.shapes import AssetOut
from asset_ledger.api.http.answers import asset_etag, minimal, write_answer, write_headers
from asset_ledger.api.http.request import Request
from asset_ledger.api.http.update import Change, Update
from asset_ledger.ledger.commands.call import Receipt
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    DigestMismatchError,
    NotRestorableError,
    PreconditionFailedError,
    UnknownAssetError,
    VersionConflictError,
)
from asset_ledger.projections.tables.assets import document_json

_WRITE_ERRORS: Final = (UnknownAssetError, VersionConflictError, PreconditionFailedError)
_CHANGE_ERRORS: Final = (*_WRITE_ERRORS, AssetDeletedError)


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
    return await _edited(request, Update.put)


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
    return await _edited(request, Update.content)


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
    return await _edited(request, Update.patch)


@operation(
    "POST",
    "/api/assets/{id}/restore",
    answers=AssetOut,
    errors=[*_WRITE_ERRORS, NotRestorableError],
    scope="write",
    headers=["If-Match", "Prefer"],
    statuses=[200, 202, 204],
)
async def restore_asset(request: Request) -> web.Response:
    """Restore a deleted asset; a folder with what was deleted along with it."""
    with request.slot():
        receipt = await request.ledger.restore.asset(request.call(), request.asset_id)
    return _changed(request, receipt)


async def _edited(request: Request, receive: Callable[[Update], Awaitable[Change]]) -> web.Response:
    """Make the change that `receive` reads from the body."""
    with request.slot():
        async with Update(request) as update:
            receipt = await request.ledger.edit.asset(
                request.call(), request.asset_id, *await receive(update)
            )
    return _changed(request, receipt)


def _changed(request: Request, receipt: Receipt) -> web.Response:
    """Return the asset after a write, or 204 for `Prefer: return=minimal`."""
    headers = {"ETag": asset_etag(receipt.asset.version)}
    if request.prefers("return=minimal") and not receipt.behind:
        headers |= write_headers(receipt)
        return minimal(receipt.position, status=204, headers=headers)
    return write_answer(document_json(receipt.asset).encode(), receipt, headers)
