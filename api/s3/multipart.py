"""Multipart uploads: begin, take parts, list them, complete or abort."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from xml.etree.ElementTree import Element

from aiohttp import web

from asset_ledger.api.http.content_headers import Span
from asset_ledger.api.s3.body import read_document, receive_object
from asset_ledger.api.s3.call import (
    Call,
    context,
    etag_of,
    parsed,
    read_xml,
    shown_time,
    whole,
    xml_answer,
)
from asset_ledger.api.s3.checksums import PREFIX, JoinCheck, algorithms_in
from asset_ledger.api.s3.errors import S3Error, S3TooLargeError, s3_refusal
from asset_ledger.api.s3.metadata import fields_of
from asset_ledger.api.s3.names import parse_key
from asset_ledger.api.s3.objects import (
    MAX_DOCUMENT,
    copy_into,
    copy_source,
    lend_stage,
    store,
    version_key,
)
from asset_ledger.api.s3.uploads import MAX_PARTS, MultipartUpload, StoredPart
from asset_ledger.api.s3.xml import DECLARATION, document, texts
from asset_ledger.ledger.content.store import Stage

KEEP_ALIVE: Final = 10.0
"""Seconds after which a completion sends a space, so that the client does not give up."""

_RANGE: Final = re.compile("bytes=([0-9]{1,15})-([0-9]{1,15})")


class ChosenPart(NamedTuple):
    """A part that a completion names, with the checksums that it announces."""

    number: int
    size: int
    stored: StoredPart
    checksums: Mapping[str, str]


async def create_upload(call: Call) -> web.StreamResponse:
    """Begin an upload of parts."""
    await call.bucket_folder()
    if not parsed(call).name:
        raise S3Error("InvalidArgument", "a key that ends with a slash is a folder")
    fields = fields_of(call.request.headers)
    upload_id = await call.uploads.begin(call.user_id, call.bucket, call.key, fields)
    members = {"Bucket": call.bucket, "Key": call.key, "UploadId": upload_id}
    return xml_answer("InitiateMultipartUploadResult", members)


async def _upload(call: Call) -> MultipartUpload:
    named = (call.user_id, call.bucket, call.key)
    return await call.uploads.find(call.parameters["uploadId"], *named)


async def upload_part(call: Call) -> web.StreamResponse:
    """Keep the bytes of a part, sent or copied."""
    number = whole(call, "partNumber", 0, MAX_PARTS + 1)
    if not 1 <= number <= MAX_PARTS:
        raise S3Error("InvalidArgument", f"partNumber must be 1 to {MAX_PARTS:,}")
    upload, request = await _upload(call), call.request
    checksums: Mapping[str, str] = {}
    with request.slot():
        async with lend_stage(call, of_part=True) as stage:
            is_copy = "X-Amz-Copy-Source" in request.headers
            if is_copy:
                staged = await _copied(call, stage)
            else:
                limit = request.backend.settings.max_upload_bytes
                staged, checksums = await receive_object(request, call.signing, stage, limit)
            await call.uploads.keep(upload, number, staged)
    etag = etag_of(staged.digest)
    if is_copy:
        now = shown_time(datetime.now(UTC).isoformat())
        return xml_answer("CopyPartResult", {"LastModified": now, "ETag": etag})
    return web.Response(headers={"ETag": etag, **checksums})


async def _copied(call: Call, stage: Stage) -> Any:
    source, _ = await copy_source(call)
    asked = call.request.headers.get("X-Amz-Copy-Source-Range")
    found = _RANGE.fullmatch(asked) if asked is not None else None
    if asked is None:
        return await copy_into(call, source, None, stage)
    if found is None or not int(found[1]) <= int(found[2]) < source.size:
        raise S3Error("InvalidRange", "the range is not inside the object")
    return await copy_into(call, source, Span(int(found[1]), int(found[2]) + 1), stage)


async def list_parts(call: Call) -> web.StreamResponse:
    """List the parts of an upload."""
    upload = await _upload(call)
    after, limit = (
        whole(call, "part-number-marker", 0, MAX_PARTS),
        whole(call, "max-parts", 1000, 1000),
    )
    found = await call.uploads.parts(upload)
    left = [part for part in found if part.number > after]
    listed = left[:limit]
    members = {
        "Bucket": call.bucket,
        "Key": call.key,
        "UploadId": upload.id,
        "PartNumberMarker": after,
        "NextPartNumberMarker": listed[-1].number if listed else after,
        "MaxParts": limit,
        "IsTruncated": "true" if len(left) > limit else "false",
        "Part": [_part(part) for part in listed],
    }
    return xml_answer("ListPartsResult", members)


def _part(part: StoredPart) -> dict[str, Any]:
    stored = shown_time(datetime.fromtimestamp(part.stored_at, UTC).isoformat())
    return {
        "PartNumber": part.number,
        "LastModified": stored,
        "ETag": etag_of(part.digest),
        "Size": part.size,
    }


async def list_uploads(call: Call) -> web.StreamResponse:
    """List the unfinished uploads of a bucket."""
    await call.bucket_folder()
    prefix, user_id = call.parameters.get("prefix", ""), call.user_id
    every = await call.uploads.all()
    own = [each for each in every if (each.user_id, each.bucket) == (user_id, call.bucket)]
    listed = sorted((each.key, each.began, each) for each in own if each.key.startswith(prefix))
    members = {
        "Bucket": call.bucket,
        "Prefix": prefix,
        "IsTruncated": "false",
        "Upload": [
            {
                "Key": key,
                "UploadId": each.id,
                "Initiated": shown_time(datetime.fromtimestamp(began, UTC).isoformat()),
            }
            for key, began, each in listed
        ],
    }
    return xml_answer("ListMultipartUploadsResult", members)


async def abort_upload(call: Call) -> web.StreamResponse:
    """Remove an upload and its parts."""
    await call.uploads.remove(await _upload(call))
    return web.Response(status=204)


async def complete_upload(call: Call) -> web.StreamResponse:
    """Record the parts of an upload, in their order, as one object."""
    try:
        upload = await _upload(call)
    except S3Error:
        return await _completed(call)
    body = await read_document(call.request, call.signing, MAX_DOCUMENT, of_object=True)
    chosen = await asyncio.to_thread(_chosen, body, await call.uploads.parts(upload))
    completing = asyncio.create_task(_complete(call, upload, chosen))
    response: web.StreamResponse | None = None
    while not (await asyncio.wait([completing], timeout=KEEP_ALIVE))[0]:
        if response is None:
            response = web.StreamResponse(headers={"Content-Type": "application/xml"})
            await response.prepare(call.request)
            await response.write(DECLARATION)
        await response.write(b" ")
    if response is None:
        return xml_answer("CompleteMultipartUploadResult", completing.result())
    await response.write(_late(call, completing).removeprefix(DECLARATION))
    await response.write_eof()
    return response


def _late(call: Call, completing: "asyncio.Task[dict[str, Any]]") -> bytes:
    """Return the outcome as a document: a head with status 200 was sent already."""
    error = completing.exception()
    if isinstance(error, Exception):
        refused = s3_refusal(call.request, error).body
        return refused if isinstance(refused, bytes) else b""
    return document("CompleteMultipartUploadResult", completing.result())


async def _completed(call: Call) -> web.StreamResponse:
    """Answer as the completion did whose answer was lost. Raises S3Error if there was none."""
    ledger, once = call.request.ledger, _once(call.parameters["uploadId"])
    asset = await ledger.create.recorded(context(call, once))
    if asset is None:
        changed = await ledger.edit.changed(context(call, version_key(once)))
        asset = changed and changed.asset
    entry = await call.find(await call.bucket_folder(), call.key)
    if asset is None or entry is None or entry.id != asset.id:
        raise S3Error("NoSuchUpload", "there is no such upload: it was completed or removed")
    return xml_answer("CompleteMultipartUploadResult", _result(call, asset.digest))


def _once(upload_id: str) -> str:
    """Return the Idempotency-Key of the completion of an upload."""
    return f"s3-upload-{upload_id}"


def _result(call: Call, digest: str | None) -> dict[str, Any]:
    location = f"/{call.bucket}/{call.key}"
    members = {"Location": location, "Bucket": call.bucket, "Key": call.key}
    return members | {"ETag": etag_of(digest)}


async def _complete(
    call: Call, upload: MultipartUpload, chosen: Sequence[ChosenPart]
) -> dict[str, Any]:
    limit = call.request.backend.settings.max_upload_bytes
    size = sum(part.size for part in chosen)
    if limit and size > limit:
        raise S3TooLargeError("EntityTooLarge", f"the object is longer than {limit:,} bytes")
    if call.request.headers.get("x-amz-mp-object-size", str(size)) != str(size):
        raise S3Error("InvalidRequest", f"the parts have {size:,} bytes in all, not as announced")
    check = JoinCheck(call.request.headers, [part.checksums for part in chosen])
    bucket = await call.bucket_folder()
    with call.request.slot():
        async with lend_stage(call) as stage:
            for part in chosen:
                check.begin_part()
                async for chunk in call.uploads.read(upload, part.stored):
                    check.update(chunk)
                    await stage.write(chunk)
                check.end_part()
            check.finish()
            staged = await stage.finish()
            once = _once(upload.id)
            await store(call, bucket, parse_key(upload.key), staged, upload.fields, once)
    await call.uploads.remove(upload)
    return _result(call, staged.digest)


def _chosen(body: bytes, parts: Sequence[StoredPart]) -> list[ChosenPart]:
    """Return the parts that a completion names. Raises S3Error."""
    sent = read_xml(body)
    known = {(part.number, etag_of(part.digest).strip('"')): part for part in parts}
    chosen: list[ChosenPart] = []
    for each in (child for child in sent if child.tag == "Part"):
        number, etag = "".join(texts(each, "PartNumber")), "".join(texts(each, "ETag"))
        if not re.fullmatch("[0-9]{1,5}", number):
            raise S3Error("MalformedXML", "a part has no number")
        part = known.get((int(number), etag.strip('"')))
        if part is None:
            raise S3Error("InvalidPart", f"part {number} was not sent, or has another ETag")
        if chosen and part.number <= chosen[-1].number:
            raise S3Error("InvalidPartOrder", "list the parts by their numbers")
        chosen.append(ChosenPart(part.number, part.size, part, _checksums(each)))
    if not chosen:
        raise S3Error("MalformedXML", "name at least one part")
    return chosen


def _checksums(part: Element) -> dict[str, str]:
    """Return the checksums that a completion announces for a part, by algorithm."""
    tags = {child.tag.lower(): child.text for child in part if child.text}
    sent = {f"x-amz-{tag.replace('checksum', 'checksum-')}": text for tag, text in tags.items()}
    return {name: sent[PREFIX + name] for name in algorithms_in(sent)}
