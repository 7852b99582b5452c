"""Read the body of a change to an asset: the new label, and new bytes if it has some.

Promise: leaving the `async with` block discards staged bytes that no event names.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from asset_ledger.api.contract.assets import check_digest
from asset_ledger.api.contract.editing import (
    decoded,
    label_of,
    read_patch_fields,
    read_update_fields,
)
from asset_ledger.api.contract.errors import UploadTooLargeError
from asset_ledger.api.contract.fields import Fields
from asset_ledger.api.contract.operations import JSON
from asset_ledger.api.contract.sniff import is_unknown
from asset_ledger.api.http.body import (
    begin,
    check_content,
    check_upload,
    media_type_of,
    read_json_as,
    receive,
)
from asset_ledger.api.http.content_headers import announced_digest
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.content.store import Stage, Staged
from asset_ledger.ledger.domain.decisions import Label
from asset_ledger.ledger.errors import RefusedError

MERGE_PATCH: Final = "application/merge-patch+json"

_CONTENT: Final = frozenset({"data", "data_encoding"})
"""Fields that the request's fingerprint covers by the digest of their bytes."""


class Change(NamedTuple):
    """A requested change: the label, new content, and the fields that were sent."""

    label: Label
    staged: Staged | None
    fields: Fields


class Update:
    """The body of one request, received inside its `async with`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._stage: Stage | None = None

    async def __aenter__(self) -> "Update":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._stage is not None:
            await self._stage.discard()

    async def put(self) -> Change:
        """Read NodeTool's partial update. Raises subclasses of RefusedError."""
        request = self._request
        async with _asset_first(request):
            fields = read_update_fields(await read_json_as(request, JSON))
            label = label_of(fields, request.user_id)
            staged = await self._staged(fields) if "data" in fields else None
        sent = {name: value for name, value in fields.items() if name not in _CONTENT}
        return Change(label, staged, sent)

    async def patch(self) -> Change:
        """Read a JSON merge patch. Raises subclasses of RefusedError."""
        request = self._request
        async with _asset_first(request):
            fields = read_patch_fields(await read_json_as(request, MERGE_PATCH, JSON))
            return Change(label_of(fields, request.user_id, patch=True), None, fields)

    async def content(self) -> Change:
        """Read the body as new bytes, in constant memory. Raises subclasses of RefusedError."""
        request, limit = self._request, self._request.backend.settings.max_upload_bytes
        announced, declared = announced_digest(request.headers), media_type_of(request)
        if not request.headers.get("Idempotency-Key"):  # a retry must not fail here
            await request.ledger.edit.current(request.call(), request.asset_id)
        check_content(declared)
        check_upload(request, limit)
        await begin(request, is_content=True)
        self._stage = request.ledger.stage()
        staged = await receive(request, self._stage, limit)
        if announced is not None:
            check_digest(announced, staged.digest)
        sent: Fields = {}
        if declared and not is_unknown(declared):
            sent["content_type"] = request.headers["Content-Type"]
        return Change(label_of(read_update_fields(sent), request.user_id), staged, sent)

    async def _staged(self, fields: Fields) -> Staged:
        self._stage = self._request.ledger.stage()
        limit, size = self._request.backend.settings.max_upload_bytes, 0
        for piece in decoded(fields):
            size += len(piece)
            if limit and size > limit:
                raise UploadTooLargeError(limit)
            await self._stage.write(piece)
        return await self._stage.finish()


@asynccontextmanager
async def _asset_first(request: Request) -> AsyncIterator[None]:
    """Raise an error about the asset, if there is one, instead of an error about the body."""
    asset_id = request.asset_id
    try:
        yield
    except RefusedError:
        await request.ledger.edit.current(request.call(), asset_id)
        raise
