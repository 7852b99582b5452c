"""Resumable uploads by tus 1.0: create one, send its bytes, ask how many have arrived.

With its last byte an upload becomes an asset, or new bytes of one. `Ledger-Asset` is its id.
"""

from collections.abc import AsyncIterator, Mapping
from email.utils import format_datetime
from typing import Any, Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import (
    ChecksumMismatchError,
    MethodNotAllowedError,
    TusVersionError,
    UnknownUploadError,
    UnsupportedTypeError,
    UploadLockedError,
    UploadOffsetError,
    UploadTooLargeError,
)
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import Schema
from asset_ledger.api.contract.shapes import AssetOut
from asset_ledger.api.contract.tus import (
    ASSET,
    BYTES,
    CHECKSUM,
    EXPIRES,
    LENGTH,
    METADATA,
    OFFSET,
    OVERRIDE,
    RESUMABLE,
)
from asset_ledger.api.contract.uploads import (
    CAPABILITIES,
    Checksum,
    UploadOut,
    check_version,
    read_checksum,
    read_length,
    read_metadata,
    read_size,
)
from asset_ledger.api.http.answers import POSITION, asset_etag, write_headers
from asset_ledger.api.http.body import begin, media_type_of, next_chunk
from asset_ledger.api.http.request import Request
from asset_ledger.api.uploads.resumable import Declared, FinishedUpload, OpenUpload
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    DigestMismatchError,
    PreconditionFailedError,
    TooLargeError,
    UnknownAssetError,
    VersionConflictError,
)
from asset_ledger.ledger.ids import AssetId, parse_asset_id
from asset_ledger.projections.tables.assets import document_json

_PATH: Final = "/api/uploads/{upload_id}"
_TAKES: Final[Mapping[str, Schema]] = {BYTES: {"type": "string", "format": "binary"}}
_RECORDING: Final = (
    DigestMismatchError,
    AssetDeletedError,
    PreconditionFailedError,
    VersionConflictError,
)
_ERRORS: Final = (
    TusVersionError,
    UnknownUploadError,
    UploadOffsetError,
    UploadLockedError,
    ChecksumMismatchError,
    *_RECORDING,
)


@operation("OPTIONS", "/api/uploads", aliases=(_PATH,), statuses=[204])
async def get_upload_capabilities(request: Request) -> web.Response:
    """Return the version, the extensions and the limits of resumable uploads, as headers."""
    limit = request.backend.settings.max_upload_bytes
    most = {"Tus-Max-Size": str(limit)} if limit else {}
    return web.Response(status=204, headers={**CAPABILITIES, **most})


@operation(
    "POST",
    "/api/uploads",
    answers=AssetOut,
    errors=[TusVersionError, ChecksumMismatchError, UnknownAssetError, *_RECORDING],
    scope="write",
    takes=_TAKES,
    statuses=[201],
    headers=[RESUMABLE, LENGTH, METADATA, CHECKSUM, "If-Match", "Prefer"],
)
async def create_upload(request: Request) -> web.Response:
    """Create a resumable upload of an asset, or of new bytes of one; a body is its first bytes."""
    check_version(request.headers)
    declared, checksum = _declared(request), read_checksum(request.headers)
    _check_fits(request, 0, declared.size)
    with request.slot():
        created = await request.backend.uploads.create(request.call(), declared)
        headers = {"Location": f"/api/uploads/{_id_of(created)}"}
        if isinstance(created, OpenUpload) and request.body_exists:
            created = await _append(request, created, 0, checksum)
        elif isinstance(created, OpenUpload) and created.is_whole:  # empty
            created = await request.backend.uploads.finish(created)
    return _answer(request, created, headers, status=201)


@operation(
    "GET",
    _PATH,
    answers=UploadOut,
    errors=[TusVersionError, UnknownUploadError, *_RECORDING],
    scope="write",
    statuses=[200],
    headers=[RESUMABLE],
)
async def get_upload(request: Request) -> web.Response:
    """Return how many bytes have arrived. A whole upload is recorded before the answer."""
    check_version(request.headers)
    found = await _find(request)
    if isinstance(found, OpenUpload) and found.is_whole:
        found = await request.backend.uploads.finish(found)
    return _described(request, found)


@operation(
    "PATCH",
    _PATH,
    answers=AssetOut,
    errors=_ERRORS,
    scope="write",
    takes=_TAKES,
    statuses=[204, 200],
    headers=[RESUMABLE, OFFSET, CHECKSUM, "Prefer"],
)
async def append_to_upload(request: Request) -> web.Response:
    """Add bytes at the offset. The last ones record the asset."""
    check_version(request.headers)
    if media_type_of(request) != BYTES:
        raise UnsupportedTypeError(f"send the bytes as {BYTES}")
    offset, checksum = read_size(request.headers, OFFSET), read_checksum(request.headers)
    with request.slot():
        found = await _find(request)
        if isinstance(found, OpenUpload):
            _check_fits(request, offset, found.state.size)
            found = await _append(request, found, offset, checksum)
        elif offset != (size := found.receipt.asset.size) or request.body_exists:
            raise UploadOffsetError(size)
    return _answer(request, found, {}, status=204)


@operation(
    "DELETE",
    _PATH,
    errors=[TusVersionError, UnknownUploadError],
    scope="write",
    statuses=[204],
    headers=[RESUMABLE],
)
async def delete_upload(request: Request) -> web.Response:
    """Remove an unfinished upload and its bytes."""
    check_version(request.headers)
    uploads = request.backend.uploads
    await uploads.delete(await uploads.find(request.user_id, _upload_id(request)))
    return web.Response(status=204)


@operation(
    "POST",
    _PATH,
    answers=AssetOut,
    errors=(*_ERRORS, MethodNotAllowedError),
    scope="write",
    takes=_TAKES,
    statuses=[204, 200],
    headers=[OVERRIDE, RESUMABLE, OFFSET, CHECKSUM, "Prefer"],
)
async def override_upload_method(request: Request) -> web.StreamResponse:
    """Do what the method in X-HTTP-Method-Override does, for clients that can only send POST."""
    operations = {"PATCH": append_to_upload, "DELETE": delete_upload, "HEAD": get_upload}
    method = request.headers.get(OVERRIDE, "POST").upper()
    if method not in operations:
        raise MethodNotAllowedError(method, [*operations])
    answer: web.StreamResponse = await operations[method].handler(request)
    return answer


def _declared(request: Request) -> Declared:
    """Return what the client declares. Raises ParameterError, FieldsError, UploadTooLargeError."""
    size, settings = read_length(request.headers), request.backend.settings
    if settings.max_upload_bytes and size > settings.max_upload_bytes:
        raise UploadTooLargeError(settings.max_upload_bytes)
    metadata = ",".join(request.headers.getall(METADATA, []))
    fields = read_metadata(metadata, lenient=settings.lenient_queries)
    if "made_at" in fields:  # else any user could claim a time
        request.principal.require("admin")
    if request.body_exists and media_type_of(request) != BYTES:
        raise UnsupportedTypeError(f"send the first bytes as {BYTES}, or no body")
    if (failure := request.backend.committer.failure) is not None:
        raise failure
    return Declared(size, fields, metadata)


async def _find(request: Request) -> OpenUpload[Any] | FinishedUpload:
    """Return an upload, or what it became. Raises UnknownUploadError."""
    uploads, upload_id = request.backend.uploads, _upload_id(request)
    try:
        return await uploads.find(request.user_id, upload_id)
    except UnknownUploadError:
        return await uploads.outcome(request.call(), upload_id)


def _upload_id(request: Request) -> AssetId:
    text = request.path_values["upload_id"]
    try:
        return parse_asset_id(text)
    except ValueError as error:
        raise UnknownUploadError(text) from error


def _id_of(found: OpenUpload[Any] | FinishedUpload) -> AssetId:
    return found.state.id if isinstance(found, OpenUpload) else found.id


def _check_fits(request: Request, offset: int, size: int) -> None:
    announced = request.content_length or 0
    if offset + announced > size:
        raise TooLargeError(f"the upload has {size:,} bytes; these {announced:,} go beyond its end")


async def _append(
    request: Request, upload: OpenUpload[Any], offset: int, checksum: Checksum | None
) -> OpenUpload[Any] | FinishedUpload:
    """Add the body to an upload. Return it, or what it became once it is whole."""
    end, chunks = request.connection.end, _chunks(request)
    recorded = await request.backend.uploads.append(upload, offset, chunks, checksum, end)
    return recorded or upload


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    await begin(request)
    while chunk := await next_chunk(request):
        yield chunk


def _answer(
    request: Request,
    found: OpenUpload[Any] | FinishedUpload,
    headers: Mapping[str, str],
    *,
    status: int,
) -> web.Response:
    """Return the offset; with the asset, if it was recorded and the client prefers to get it."""
    headers = {**headers, **_headers(request, found)}
    if isinstance(found, OpenUpload) or not request.prefers("return=representation"):
        return web.Response(status=status, headers=headers)
    applied = {"Preference-Applied": "return=representation", "Content-Type": JSON}
    body = document_json(found.receipt.asset).encode()
    status = 200 if status == 204 else status
    return web.Response(body=body, status=status, headers={**headers, **applied})


def _headers(request: Request, found: OpenUpload[Any] | FinishedUpload) -> dict[str, str]:
    if isinstance(found, OpenUpload):
        expires = format_datetime(request.backend.uploads.expires(found), usegmt=True)
        return {OFFSET: str(found.state.offset), EXPIRES: expires}
    asset = found.receipt.asset
    return {
        OFFSET: str(asset.size),
        ASSET: asset.id,
        "ETag": asset_etag(asset.version),
        POSITION: str(found.receipt.position),
        **write_headers(found.receipt),
    }


def _described(request: Request, found: OpenUpload[Any] | FinishedUpload) -> web.Response:
    headers = {"Cache-Control": "no-store", "Content-Type": JSON, **_headers(request, found)}
    if isinstance(found, OpenUpload):
        size, state = found.state.size, found.state
        expires = iso(request.backend.uploads.expires(found))
        shown = UploadOut(
            id=state.id, offset=state.offset, length=size, expires_at=expires, asset_id=None
        )
        if metadata := state.declared["metadata"]:
            headers[METADATA] = metadata
    else:
        asset, size = found.receipt.asset, found.receipt.asset.size
        shown = UploadOut(id=found.id, offset=size, length=size, expires_at=None, asset_id=asset.id)
    headers[LENGTH] = str(size)
    return web.Response(body=orjson.dumps(shown.model_dump()), headers=headers)
