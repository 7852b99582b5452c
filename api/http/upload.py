"""Read the body of an upload: the new asset and its content, in one of four encodings.

- multipart/form-data: a `file` and a `json` with the fields.
- application/x-www-form-urlencoded: a `json` alone, as NodeTool's clients send a folder.
- application/json: the fields alone, for a folder, for metadata without a file, or with the
  `digest` of bytes that the user owns already.
- any other type: the content itself, its fields as query parameters (`tags` and `derived_from`
  repeat, `metadata` is JSON text).

A body that is not the one of its Repr-Digest or Content-Digest is refused.

Promise: leaving the `async with` block discards staged bytes that no event names.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from asset_ledger.api.contract.assets import announced_by, check_digest, read_fields
from asset_ledger.api.contract.fields import Fields
from asset_ledger.api.contract.operations import JSON, URLENCODED
from asset_ledger.api.contract.parameters import ParameterValues, refuse
from asset_ledger.api.contract.strict_json import read_object
from asset_ledger.api.contract.upload import UploadRequest, upload_request
from asset_ledger.api.http.body import (
    begin,
    check_content,
    check_upload,
    expects_continue,
    media_type_of,
    read_json,
    read_whole,
    receive,
)
from asset_ledger.api.http.content_headers import announced_digest
from asset_ledger.api.http.form import (
    MAX_ENCODED,
    MAX_OVERHEAD,
    Form,
    json_of_form,
    read_form,
)
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.commands.create import not_owned
from asset_ledger.ledger.content.store import OwnedContent, Stage, Staged
from asset_ledger.ledger.domain.asset import FOLDER
from asset_ledger.ledger.errors import ContentDamagedError, ProjectionBehindError
from asset_ledger.ledger.ids import Digest


class Upload:
    """The body of one request, received inside its `async with`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._limit = request.backend.settings.max_upload_bytes
        self._stage: Stage | None = None

    async def __aenter__(self) -> "Upload":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._stage is not None:
            await self._stage.discard()

    async def receive(self, *, raw: bool = False) -> UploadRequest:
        """Read the body and check it; `raw`: as content, JSON too. Raises RefusedErrors."""
        media_type = media_type_of(self._request)
        if raw:
            check_content(media_type)
            return await self._raw()
        if media_type == "multipart/form-data":
            return await self._form()
        if media_type == JSON:
            return await self._without_file(await read_json(self._request))
        if media_type == URLENCODED and not self._request.parameters:  # else curl's default type
            text = json_of_form(await read_whole(self._request, MAX_ENCODED))
            return await self._without_file(read_object(text, "json"))
        check_content(media_type)
        return await self._raw()

    async def _form(self) -> UploadRequest:
        _check_no_fields(self._request.parameters)
        check_upload(self._request, self._limit, MAX_OVERHEAD)
        await begin(self._request)
        form = Form(self._open_stage, self._limit)
        await read_form(self._request, form)
        fields = read_fields(read_object(form.json, "json")) if form.json is not None else {}
        if form.file is None:
            return self._request_of(fields, None)
        staged = await self._finished()
        if form.file.filename == "" and not staged.size:  # a file input that was left empty
            return self._request_of(fields, None)
        _fill(fields, "name", form.file.filename)
        _fill(fields, "content_type", form.file.content_type)
        return self._request_of(fields, staged)

    async def _without_file(self, sent: Mapping[str, Any]) -> UploadRequest:
        _check_no_fields(self._request.parameters)
        fields = read_fields(sent)
        digest = announced_by(fields)
        if digest is None:
            return self._request_of(fields, None)
        owned = await self._request.ledger.create.find_content(self._request.call(), digest)
        if owned is None:
            raise not_owned()
        return self._request_of(fields, owned)

    async def _raw(self) -> UploadRequest:
        announced = announced_digest(self._request.headers)
        fields = read_fields(self._request.parameters)
        check_upload(self._request, self._limit)
        declared = self._request.headers.get("Content-Type")
        if announced is not None and (owned := await self._owned_content(announced)):
            _fill(fields, "content_type", declared)
            return self._request_of(fields, owned)
        await begin(self._request, is_content=True)
        staged = await receive(self._request, self._open_stage(), self._limit)
        if announced is not None:
            check_digest(announced, staged.digest)
        if not staged.size and fields.get("content_type") == FOLDER:
            return self._request_of(fields, None)
        _fill(fields, "content_type", declared)
        return self._request_of(fields, staged)

    async def _owned_content(self, announced: Digest) -> OwnedContent | None:
        """Return the announced bytes if the user owns them and the client waits for 100 Continue.

        If the tables are behind or the bytes damaged, return None: the client uploads the bytes.
        """
        if not expects_continue(self._request):
            return None
        with suppress(ProjectionBehindError, ContentDamagedError):
            owned = await self._request.ledger.create.find_content(self._request.call(), announced)
            if owned is not None and self._request.content_length in (None, owned.size):
                return owned
        return None

    def _open_stage(self) -> Stage:
        self._stage = self._request.ledger.stage()
        return self._stage

    async def _finished(self) -> Staged:
        if self._stage is None:
            raise RuntimeError("no stage was opened")
        return await self._stage.finish()

    def _request_of(self, fields: Fields, staged: Staged | None) -> UploadRequest:
        if "made_at" in fields:  # else any user could claim a time
            self._request.principal.require("admin")
        return upload_request(fields, staged, self._request.user_id)


def _fill(fields: Fields, name: str, value: str | None) -> None:
    """Set a field from the head of a part or the request, unless the field was sent."""
    if value and name not in fields:
        fields[name] = value


def _check_no_fields(values: ParameterValues) -> None:
    for name in values:
        raise refuse(name, "is a field of the JSON here, not a parameter: send it in the body")
