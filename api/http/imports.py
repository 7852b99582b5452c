"""Import assets from another system: a batch per request, with their own ids and times.

Promise: a refused asset does not stop the others. Everything that a batch records is recorded at
once, in the order of its lines.
"""

from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import UnsupportedTypeError
from asset_ledger.api.contract.fields import Fields
from asset_ledger.api.contract.imports import (
    LINES,
    MAX_LINE,
    NDJSON,
    import_id,
    import_of,
    imports_out,
    read_import,
)
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.shapes import ImportsOut
from asset_ledger.api.contract.strict_json import read_object
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.body import begin, next_chunk
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.commands.imports import MOST, Import, Imported, ImportReceipt
from asset_ledger.ledger.content.store import Stage
from asset_ledger.ledger.errors import (
    BusyError,
    FieldError,
    MalformedBodyError,
    RefusedError,
    TooLargeError,
)
from asset_ledger.ledger.ids import AssetId

_NOTHING: Final = ImportReceipt((), None, behind=False)


@operation(
    "POST",
    "/api/import",
    answers=ImportsOut,
    errors=[BusyError],
    scope="admin",
    takes={NDJSON: LINES},
    statuses=[200, 202],
)
async def import_assets(request: Request) -> web.Response:
    """Import assets from another system, one line each; an id is recorded only once."""
    with request.slot():
        async with Batch(request) as batch:
            await batch.receive()
            present = await request.ledger.imports.present(batch.dry_run)
            receipt = await _recorded(request, batch)
    found = {asset_id: present.get(asset_id) for asset_id in batch.dry_run}
    body = orjson.dumps(imports_out([*batch.refused, *receipt.imported], found))
    headers = {"Ledger-Projection": "behind"} if receipt.behind else {}
    position = receipt.position or request.projections.position
    return json_answer(body, position, status=202 if receipt.behind else 200, headers=headers)


async def _recorded(request: Request, batch: "Batch") -> ImportReceipt:
    if not batch.imports:
        return _NOTHING
    return await request.ledger.imports.record(request.principal.user_id, batch.imports)


class Batch:
    """The lines of one request, received inside its `async with`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._stages: list[Stage] = []
        self._fields: Fields | None = None
        self._stage: Stage | None = None
        self.imports: list[Import] = []
        self.refused: list[Imported] = []
        self.dry_run: list[AssetId] = []

    async def __aenter__(self) -> "Batch":
        return self

    async def __aexit__(self, *_: object) -> None:
        for stage in self._stages:
            await stage.discard()

    async def receive(self) -> None:
        """Read the body. Raises MalformedBodyError with the number of the line at fault."""
        number = 0
        async for line in _lines(self._request):
            number += 1
            try:
                await self._take(read_object(line, "it"))
            except (MalformedBodyError, FieldError, ValueError) as error:  # base64 raises the last
                raise MalformedBodyError(f"line {number}: {error}") from error
        await self._finish()

    async def _take(self, sent: Mapping[str, Any]) -> None:
        if "bytes" in sent:
            await self._take_bytes(sent)
        else:
            await self._finish()
            await self._begin(sent)

    async def _begin(self, sent: Mapping[str, Any]) -> None:
        asset_id = import_id(sent)
        if len(self.imports) + len(self.refused) + len(self.dry_run) == MOST:
            raise TooLargeError(f"a request imports at most {MOST} assets: send several")
        try:
            fields = read_import(sent)
        except FieldError as refusal:
            self.refused.append(Imported(asset_id, "refused", str(refusal)))
            return
        if fields["dry_run"]:
            self.dry_run.append(asset_id)
        else:
            self._fields = fields

    async def _take_bytes(self, sent: Mapping[str, Any]) -> None:
        if not isinstance(sent["bytes"], str) or len(sent) > 1:
            raise MalformedBodyError('bytes are sent as {"bytes": "<base64>"}')
        piece = b64decode(sent["bytes"], validate=True)
        if self._fields is None:  # the asset was refused
            return
        if self._stage is None:
            self._stage = self._request.ledger.stage()
            self._stages.append(self._stage)
        await self._stage.write(piece)

    async def _finish(self) -> None:
        """Complete the current asset, if there is one."""
        fields, stage, self._fields, self._stage = self._fields, self._stage, None, None
        if fields is None:
            return
        staged = await stage.finish() if stage is not None else None
        try:
            self.imports.append(import_of(fields, staged, self._request.user_id))
        except RefusedError as refusal:
            asset_id = import_id(fields)
            self.refused.append(Imported(asset_id, "refused", str(refusal)))


async def _lines(request: Request) -> AsyncIterator[bytes]:
    """Yield the lines of the body that are not empty; the last one needs no line break."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != NDJSON:
        raise UnsupportedTypeError(f"send {NDJSON} here, not {media_type or 'bytes'!r}")
    await begin(request)
    rest = b""
    while chunk := await next_chunk(request):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE:
            raise TooLargeError(f"a line is longer than {MAX_LINE:,} bytes")
        for line in filter(None, lines):
            yield line
    if rest:
        yield rest
