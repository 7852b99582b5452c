"""Uploads: a body in, an intent and its content out, however the body was encoded.

- multipart/form-data: a `file` and a `json` with the fields.
- application/json: the fields alone, for a folder, for metadata without a file, or with the
  `digest` of bytes that the caller owns already.
- anything else: the content itself, its fields as query parameters (`tags` and `derived_from`
  repeat, `metadata` is JSON text), checked against Repr-Digest or Content-Digest.

Promise: leaving the `with` block forgets every byte that no event names.
"""

from contextlib import suppress

from asset_ledger.api.contract.assets import announced_by, check_digest, read_fields
from asset_ledger.api.contract.fields import Fields
from asset_ledger.api.contract.parameters import Asked, refuse
from asset_ledger.api.contract.strict_json import read_object
from asset_ledger.api.contract.upload import UploadRequest, upload_request
from asset_ledger.api.http.body import (
    begin,
    check_content,
    check_upload,
    media_type_of,
    read_json,
    receive,
    waits_to_be_asked,
)
from asset_ledger.api.http.content_headers import announced_digest
from asset_ledger.api.http.form import MAX_OVERHEAD, Form, read_form
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.commands.create import not_owned
from asset_ledger.ledger.content.store import OwnedContent, Stage, Staged
from asset_ledger.ledger.domain.asset import FOLDER
from asset_ledger.ledger.errors import ProjectionBehindError
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

    async def receive(self) -> UploadRequest:
        """Read the body and check it. Raises RefusedError in many forms."""
        media_type = media_type_of(self._request)
        if media_type == "multipart/form-data":
            return await self._form()
        if media_type == "application/json":
            return await self._json()
        check_content(media_type)
        return await self._raw()

    async def _form(self) -> UploadRequest:
        _check_no_fields(self._request.asked)
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

    async def _json(self) -> UploadRequest:
        _check_no_fields(self._request.asked)
        fields = read_fields(await read_json(self._request))
        digest = announced_by(fields)
        if digest is None:
            return self._request_of(fields, None)
        kept = await self._request.ledger.create.find_content(self._request.call(), digest)
        if kept is None:
            raise not_owned()
        return self._request_of(fields, kept)

    async def _raw(self) -> UploadRequest:
        announced = announced_digest(self._request.headers)
        fields = read_fields(self._request.asked)
        check_upload(self._request, self._limit)
        declared = self._request.headers.get("Content-Type")
        if announced is not None and (kept := await self._owned_content(announced)):
            _fill(fields, "content_type", declared)
            return self._request_of(fields, kept)
        await begin(self._request)
        staged = await receive(self._request, self._open_stage(), self._limit)
        if announced is not None:
            check_digest(announced, staged.digest)
        if not staged.size and fields.get("content_type") == FOLDER:
            return self._request_of(fields, None)
        _fill(fields, "content_type", declared)
        return self._request_of(fields, staged)

    async def _owned_content(self, announced: Digest) -> OwnedContent | None:
        """The announced bytes, if their sender waits to be asked for them, and owns them already.

        A catalog that is behind costs him an upload, not an error.
        """
        if not waits_to_be_asked(self._request):
            return None
        with suppress(ProjectionBehindError):
            kept = await self._request.ledger.create.find_content(self._request.call(), announced)
            if kept is not None and self._request.content_length in (None, kept.size):
                return kept
        return None

    def _open_stage(self) -> Stage:
        self._stage = self._request.ledger.stage()
        return self._stage

    async def _finished(self) -> Staged:
        if self._stage is None:
            raise RuntimeError("no content was begun")
        return await self._stage.finish()

    def _request_of(self, fields: Fields, staged: Staged | None) -> UploadRequest:
        if "made_at" in fields:  # a claim that nobody can check
            self._request.principal.require("admin")
        return upload_request(fields, staged, self._request.user_id)


def _fill(fields: Fields, name: str, value: str | None) -> None:
    """What a part or a header says counts where no field says otherwise."""
    if value and name not in fields:
        fields[name] = value


def _check_no_fields(asked: Asked) -> None:
    for name in asked:
        raise refuse(name, "is a field of the JSON here, not a parameter")
