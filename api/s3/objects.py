"""Objects: put, get, copy and delete the assets that keys name."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.assets import read_fields
from asset_ledger.api.contract.editing import label_of, read_update_fields
from asset_ledger.api.contract.sniff import is_unknown, sniff
from asset_ledger.api.contract.upload import upload_request
from asset_ledger.api.http.answers import POSITION
from asset_ledger.api.http.content import content_response, send_content
from asset_ledger.api.http.content_headers import Span, requested_range
from asset_ledger.api.s3.body import read_document, receive_object
from asset_ledger.api.s3.call import (
    Call,
    context,
    etag_of,
    parsed,
    path_of,
    read_xml,
    shown_time,
    xml_answer,
)
from asset_ledger.api.s3.checksums import PREFIX, TYPE, in_base64
from asset_ledger.api.s3.errors import S3Error
from asset_ledger.api.s3.metadata import fields_of, metadata_headers, metadata_of
from asset_ledger.api.s3.names import Key, parse_key, shown
from asset_ledger.api.s3.xml import texts
from asset_ledger.ledger.commands.call import Receipt
from asset_ledger.ledger.content.store import Stage, Staged
from asset_ledger.ledger.errors import AssetDeletedError
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.keys import MARKER, KeyEntry

MAX_DELETED: Final = 1000
"""Keys of one DeleteObjects at most, as in S3."""
_AT_ONCE: Final = 16
"""Keys that DeleteObjects deletes at the same time, so that one commit has several."""
_TRIES: Final = 3
"""How often a PUT looks for its object, which may be deleted since it was found."""
MAX_DOCUMENT: Final = 2 * 1024 * 1024
"""Bytes of the XML of a call."""

_CONDITIONS: Final = ("VersionId", "ETag", "LastModifiedTime", "Size")
"""What DeleteObjects may say of an object, which this ledger does not compare."""
_PRESENT: Final = "null"
"""The id of the only version of an object, in S3."""

_COPY: Final = "X-Amz-Copy-Source"
_NEVER_RUN: Final = {"Content-Security-Policy": "sandbox"}
"""A presigned address may ask for any content type, which a browser would then run."""


async def get_object(call: Call) -> web.StreamResponse:
    """Send the bytes of an object, or with HEAD its headers alone."""
    request = call.request
    if call.parameters.get("partNumber", "1") != "1":
        raise S3Error("InvalidPartNumber", "the object has one part, of all its bytes")
    entry, asset = await _read(call)
    headers = {"ETag": etag_of(entry.digest), "Last-Modified": _http_time(entry.updated_at)}
    if (unchanged := _unchanged(call, entry, headers)) is not None:
        return unchanged
    if entry.is_folder or entry.digest is None:  # a folder, or an asset without bytes
        empty = {"Content-Length": "0", "Content-Type": "application/x-directory"}
        return web.Response(headers=headers | empty)
    span = requested_range(request.headers.get("Range"), entry.size)
    response = content_response(asset, span)
    response.headers.update(headers | metadata_headers(asset["metadata"]))
    response.headers.update(_overrides(call) | _checksum(call, entry.digest) | _NEVER_RUN)
    content = await request.ledger.open_content(Digest(entry.digest), entry.size)
    try:
        await send_content(request, response, content, span or Span(0, entry.size))
    finally:
        await content.close()
    return response


async def _read(call: Call) -> tuple[KeyEntry, dict[str, Any]]:
    """Return the asset of a key as one read of its document has it: it may change meanwhile."""
    entry = await _existing(call)
    found = await call.request.projections.assets.find(call.user_id, entry.id)
    asset = orjson.loads(found.json)
    names = ("digest", "size", "updated_at")
    return entry._replace(**{name: asset[name] for name in names}), asset


def _overrides(call: Call) -> dict[str, str]:
    """Return the headers that a presigned address asks for."""
    names = ("content-type", "content-disposition", "content-language", "cache-control")
    asked = ((name, call.parameters.get(f"response-{name}")) for name in names)
    return {name.title(): value for name, value in asked if value and value.isprintable()}


def _checksum(call: Call, digest: str) -> dict[str, str]:
    """Return the SHA-256 of the whole object where the client asks for it, and gets all of it."""
    sent = call.request.headers
    if "Range" in sent or sent.get(f"{PREFIX}mode", "").upper() != "ENABLED":
        return {}
    in_hex = digest.removeprefix("sha256:")
    return {f"{PREFIX}sha256": in_base64(bytes.fromhex(in_hex)), TYPE: "FULL_OBJECT"}


def _unchanged(call: Call, entry: KeyEntry, headers: Mapping[str, str]) -> web.Response | None:
    """Return 304 where the client has these bytes. Raises S3Error where it expects others."""
    sent, etag = call.request.headers, headers["ETag"]
    if "If-Match" in sent and not _names(sent["If-Match"], etag):
        raise S3Error("PreconditionFailed", "the object is another one by now")
    if "If-None-Match" in sent:
        known = _names(sent["If-None-Match"], etag)
    else:
        known = _not_after(entry.updated_at, sent.get("If-Modified-Since"))
    return web.Response(status=304, headers=headers) if known else None


def _names(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag.strip('"') in re.findall(r'[^",\s]+', header)


def _not_after(updated_at: str, since: str | None) -> bool:
    try:
        return since is not None and _moment(updated_at) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def _moment(updated_at: str) -> datetime:
    return datetime.fromisoformat(updated_at[:19]).replace(tzinfo=UTC)


def _http_time(updated_at: str) -> str:
    return format_datetime(_moment(updated_at), usegmt=True)


async def put_object(call: Call) -> web.StreamResponse:
    """Record the body as a new asset, or as a new version of the key's asset."""
    if _COPY in call.request.headers:
        return await _copy_object(call)
    key, bucket = parsed(call), await call.bucket_folder()
    with call.request.slot():
        async with lend_stage(call) as stage:
            limit = call.request.backend.settings.max_upload_bytes
            staged, checksums = await receive_object(call.request, call.signing, stage, limit)
            if not key.name:
                return await _put_folder(call, bucket, key, staged)
            fields = fields_of(call.request.headers)
            receipt = await store(call, bucket, key, staged, fields)
    headers = {"ETag": etag_of(staged.digest), POSITION: str(receipt.position)}
    return web.Response(headers=headers | dict(checksums))


async def _put_folder(call: Call, bucket: AssetId, key: Key, staged: Staged) -> web.Response:
    if staged.size:
        raise S3Error(
            "InvalidArgument", "a key that ends with a slash is a folder: it has no bytes"
        )
    await _mark(call, await call.make_folders(bucket, key.folders), marked=True)
    return web.Response(headers={"ETag": etag_of(None)})


async def _mark(call: Call, folder: AssetId, *, marked: bool) -> None:
    """Note in the metadata of a folder whether it is a key itself."""
    ledger, made = call.request.ledger, context(call)
    asset = await ledger.replay(Replay.asset, call.user_id, folder)
    kept = {name: value for name, value in (asset.metadata or {}).items() if name != MARKER}
    changed = read_update_fields({"metadata": kept | ({MARKER: True} if marked else {})})
    await ledger.edit.asset(made, folder, label_of(changed, call.user_id), None, changed)


async def store(
    call: Call,
    bucket: AssetId,
    key: Key,
    staged: Staged,
    fields: Mapping[str, Any],
    idempotency_key: str | None = None,
) -> Receipt:
    """Record bytes under a key. Raises S3Error where If-Match or If-None-Match forbid it.

    `idempotency_key` is that of a new asset. A new version has its `version_key`: a repeated
    creation, which finds the asset, records nothing.
    """
    folder = await call.make_folders(bucket, key.folders)
    segment = shown(key.name)
    async with call.locks.hold((call.user_id, folder, segment)):
        for _ in range(_TRIES):
            found = await call.keys.find(call.user_id, folder, segment)
            _check_conditions(call, found)
            if found is None:
                named = {"name": key.name, "parent_id": folder} | dict(fields)
                asked = upload_request(read_fields(named), staged, call.user_id)
                made = context(call, idempotency_key)
                return await call.request.ledger.create.asset(made, *asked)
            with suppress(AssetDeletedError):  # since it was found
                return await _store_version(call, found.id, key, staged, fields, idempotency_key)
    raise S3Error("SlowDown", "the object was deleted a moment ago")


async def _store_version(
    call: Call,
    asset_id: AssetId,
    key: Key,
    staged: Staged,
    fields: Mapping[str, Any],
    idempotency_key: str | None,
) -> Receipt:
    ledger = call.request.ledger
    changed = {name: fields[name] for name in ("metadata", "content_type") if name in fields}
    current = await ledger.replay(Replay.asset, call.user_id, asset_id)
    if "metadata" not in changed and current.metadata:
        changed["metadata"] = {}
    if is_unknown(str(changed.get("content_type", ""))) or "content_type" not in changed:
        changed["content_type"] = sniff(staged.head, key.name)
    read_changes = read_update_fields(changed)
    label = label_of(read_changes, call.user_id)
    made = context(call, idempotency_key and version_key(idempotency_key))
    return await ledger.edit.asset(made, asset_id, label, staged, read_changes)


def version_key(idempotency_key: str) -> str:
    """Return the Idempotency-Key of the same bytes as a new version."""
    return f"{idempotency_key}-version"


def _check_conditions(call: Call, found: KeyEntry | None) -> None:
    headers = call.request.headers
    if "If-None-Match" in headers and found is not None:
        raise S3Error("PreconditionFailed", "the key has an object already")
    if "If-Match" in headers and (
        found is None or not _names(headers["If-Match"], etag_of(found.digest))
    ):
        raise S3Error("PreconditionFailed", "the object is another one by now")


async def _copy_object(call: Call) -> web.StreamResponse:
    """Record the bytes of another object under this key, derived from it."""
    key, bucket = parsed(call), await call.bucket_folder()
    with call.request.slot():
        async with lend_stage(call) as stage:
            source, asset = await copy_source(call)
            staged = await copy_into(call, source, None, stage)
            fields = _copied_fields(call, asset) | {"derived_from": [source.id]}
            receipt = await store(call, bucket, key, staged, fields)
    result = {
        "LastModified": shown_time(receipt.asset.updated_at.isoformat()),
        "ETag": etag_of(staged.digest),
    }
    return xml_answer("CopyObjectResult", result)


def _copied_fields(call: Call, asset: Mapping[str, Any]) -> dict[str, Any]:
    if call.request.headers.get("X-Amz-Metadata-Directive", "COPY") == "REPLACE":
        return dict(fields_of(call.request.headers))
    return {"content_type": asset["content_type"], "metadata": metadata_of(asset["metadata"])}


async def copy_source(call: Call) -> tuple[KeyEntry, dict[str, Any]]:
    """Return the object that X-Amz-Copy-Source names, and its document. Raises S3Error."""
    path, _, version = call.request.headers[_COPY].partition("?versionId=")
    if version not in ("", _PRESENT):
        raise S3Error("NotImplemented", "versions have no names here: leave versionId out")
    bucket, _, key = path_of(path).partition("/")
    parse_key(key)
    entry = await call.find(await call.bucket_folder(bucket), key)
    if entry is None or entry.is_folder or entry.digest is None:
        raise S3Error("NoSuchKey", f"there is no object {bucket}/{key} to copy")
    _check_source(call.request.headers, etag_of(entry.digest))
    found = await call.request.projections.assets.find(call.user_id, entry.id)
    return entry, orjson.loads(found.json)


def _check_source(sent: Mapping[str, str], etag: str) -> None:
    """Raise S3Error where the client expects another source."""
    is_expected = _names(sent.get(f"{_COPY}-If-Match", "*"), etag)
    if not is_expected or _names(sent.get(f"{_COPY}-If-None-Match", ""), etag):
        raise S3Error("PreconditionFailed", "the source is another object by now")


async def copy_into(call: Call, source: KeyEntry, span: Span | None, stage: Stage) -> Staged:
    """Write the bytes of an object, or some of them, to a stage."""
    content = await call.request.ledger.open_content(Digest(str(source.digest)), source.size)
    try:
        async for chunk in content.chunks(*(span or Span(0, source.size))):
            await stage.write(chunk)
    finally:
        await content.close()
    return await stage.finish()


async def delete_object(call: Call) -> web.StreamResponse:
    """Delete the asset of a key, if there is one. A folder stays, but is no key any more."""
    bucket = await call.bucket_folder()
    is_of_object = not call.key.endswith("/")
    with call.request.slot():
        if "If-Match" in call.request.headers and is_of_object:
            await _delete_expected(call)
        else:
            await _delete(call, bucket, call.key)
    return web.Response(status=204)


async def _delete_expected(call: Call) -> None:
    """Delete the version of an object that If-Match names.

    Raises S3Error, and PreconditionFailedError where a newer version was recorded meanwhile.
    """
    entry, asset = await _read(call)
    _check_conditions(call, entry)
    made = replace(context(call), if_match=asset["version"])
    await call.request.ledger.delete.asset(made, entry.id)


async def delete_objects(call: Call) -> web.StreamResponse:
    """Delete the assets of up to 1,000 keys."""
    bucket = await call.bucket_folder()
    body = await read_document(call.request, call.signing, MAX_DOCUMENT)
    keys, is_quiet = await asyncio.to_thread(_named, body)
    with call.request.slot():
        distinct = [*dict.fromkeys(keys)]
        for first in range(0, len(distinct), _AT_ONCE):
            batch = distinct[first : first + _AT_ONCE]
            await asyncio.gather(*(_delete(call, bucket, key) for key in batch))
    return xml_answer("DeleteResult", {"Deleted": [] if is_quiet else [{"Key": k} for k in keys]})


def _named(body: bytes) -> tuple[list[str], bool]:
    """Return the keys to delete, and whether the client wants no list of them. Raises S3Error."""
    sent = read_xml(body)
    named = [each for each in sent if each.tag == "Object"]
    conditions = {child.text for each in named for child in each if child.tag in _CONDITIONS}
    if not conditions <= {None, _PRESENT}:
        raise S3Error("NotImplemented", "name keys alone: the present objects are deleted")
    keys = [key for each in named for key in texts(each, "Key")]
    if not 1 <= len(keys) <= MAX_DELETED:
        raise S3Error("MalformedXML", f"name 1 to {MAX_DELETED} keys")
    return keys, "true" in texts(sent, "Quiet")


async def _delete(call: Call, bucket: AssetId, key: str) -> None:
    found = await call.find(bucket, key) if key else None
    if found is None:
        return
    if found.is_folder:  # which may get another asset at the same moment
        await _mark(call, found.id, marked=False)
    else:
        await call.request.ledger.delete.asset(context(call), found.id)


async def get_tagging(call: Call) -> web.StreamResponse:
    """Answer that the object has no S3 tags: an asset's tags are texts without values."""
    await _existing(call)
    return xml_answer("Tagging", {"TagSet": {}})


async def _existing(call: Call) -> KeyEntry:
    found = await call.find(await call.bucket_folder(), call.key)
    if found is None or (found.is_folder and not found.is_marker):
        raise S3Error("NoSuchKey", f"there is no object {call.key!r}")
    return found


@asynccontextmanager
async def lend_stage(call: Call, *, of_part: bool = False) -> AsyncIterator[Stage]:
    """Lend a stage for a content, or for a part of one; discard what was not recorded."""
    contents = call.request.ledger.contents
    stage = call.uploads.stage(contents) if of_part else contents.stage()
    try:
        yield stage
    finally:
        await stage.discard()
