"""Read request bodies, in pieces or as one JSON object, with limits on length and on waiting.

Promise: a body that breaks off, stalls or is announced too large fails only its own request.
"""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from asset_ledger.api.contract.errors import (
    StalledBodyError,
    UnsupportedTypeError,
    UploadTooLargeError,
)
from asset_ledger.api.contract.fields import Fields, read_as
from asset_ledger.api.contract.operations import JSON, URLENCODED, Model
from asset_ledger.api.contract.strict_json import read_object
from asset_ledger.api.http.content_headers import BodyDigest, announced_digest
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.content.store import Stage, Staged
from asset_ledger.ledger.errors import MalformedBodyError, TooLargeError

SHORT: Final = 128 * 1024
"""Bytes: a body announced with at most this many is read whole."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


async def begin(
    request: Request, *, is_content: bool = False, codings: Sequence[str] = ("identity",)
) -> None:
    """Send `100 Continue` if the client waits for it (RFC 9110, 10.1.1). Raises RefusedError.

    The announced digest is checked while the body is read, unless the body is a content, whose
    digest its caller checks.
    """
    if not is_content and (announced := announced_digest(request.headers)):
        request.body_digest = BodyDigest(announced)
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() not in codings:
        raise UnsupportedTypeError(f"Content-Encoding {coding!r} is not read: send plain bytes")
    coding = request.headers.get("Transfer-Encoding", "chunked")
    if coding.lower() != "chunked":  # else the coded bytes would be stored
        raise UnsupportedTypeError(f"Transfer-Encoding {coding!r} is not read: send chunked")
    await invite(request)


async def invite(request: Request) -> None:
    """Send `100 Continue` if the client waits for it, whatever the codings of the body."""
    if expects_continue(request):
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # else a later error would look like half a response


def expects_continue(request: Request) -> bool:
    """Return whether the client waits for `100 Continue` before it sends the body."""
    return request.headers.get("Expect", "").lower() == "100-continue"


def check_length(request: Request, limit: int) -> None:
    """Raise TooLargeError if the Content-Length is above a limit in bytes. 0 is no limit."""
    announced = request.content_length
    if limit and announced is not None and announced > limit:
        raise TooLargeError(f"the body has {announced:,} bytes; the limit is {limit:,} bytes")


def check_upload(request: Request, limit: int, overhead: int = 0) -> None:
    """Raise UploadTooLargeError likewise; the body may exceed its content by `overhead` bytes."""
    announced = request.content_length
    if limit and announced is not None and announced > limit + overhead:
        raise UploadTooLargeError(limit)


def check_content(media_type: str) -> None:
    """Raise UnsupportedTypeError for a form where the body is the content itself."""
    if media_type.startswith("multipart/") or media_type == URLENCODED:
        raise UnsupportedTypeError(
            f"{media_type} is not read: send multipart/form-data, application/json,"
            " or the content itself with its own Content-Type"
        )


async def receive(request: Request, stage: Stage, limit: int) -> Staged:
    """Write the body to a stage. Raises UploadTooLargeError above the limit; 0 is no limit."""
    size = 0
    while chunk := await next_chunk(request):
        size += len(chunk)
        if limit and size > limit:
            raise UploadTooLargeError(limit)
        await stage.write(chunk)
    return await stage.finish()


def media_type_of(request: Request) -> str:
    """Return the media type of the body without its parameters; empty if undeclared."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def read_short(request: Request) -> bytes | None:
    """Return the whole body if its Content-Length is at most SHORT, else None."""
    announced = request.content_length
    if announced is None or announced > SHORT:
        return None
    if request.content.is_eof():  # the whole body came with the head
        return _arrived(request)
    return await gather(request, SHORT)


async def next_chunk(request: Request) -> bytes:
    """Return the bytes that arrived since the last call; empty at the end. Raises RefusedError.

    A second of waiting costs the client a second of its credit, and a byte earns its share back.
    """
    limits, loop = request.clients.limits, asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(request.credit):
            chunk = await request.content.readany()
    except TimeoutError as error:
        message = f"fewer than {limits.rate:,} bytes a second of the body arrive: send it faster"
        raise StalledBodyError(message) from error
    except (web.RequestPayloadError, ConnectionError, RuntimeError) as error:
        # aiohttp raises RuntimeError for a connection that was closed for want of memory.
        raise MalformedBodyError("the body broke off: send it again") from error
    if request.body_digest is not None:
        request.body_digest.add(chunk)
    credit = request.credit - (loop.time() - began) + len(chunk) / limits.rate
    request.credit = min(limits.stall, credit)
    return chunk


def _arrived(request: Request) -> bytes:
    try:
        whole = request.content.read_nowait()
    except (web.RequestPayloadError, ConnectionError) as error:
        raise MalformedBodyError("the body broke off: send it again") from error
    if request.body_digest is not None:
        request.body_digest.add(whole)
        request.body_digest.add(b"")
    return whole


async def read_whole(request: Request, limit: int, codings: Sequence[str] = ("identity",)) -> bytes:
    """Return the body. Raises MalformedBodyError, and TooLargeError above a limit in bytes."""
    check_length(request, limit)
    await begin(request, codings=codings)
    text = await read_short(request)
    return await gather(request, limit) if text is None else text


async def read_unpacked(request: Request) -> bytes:
    """Return the body, which may be gzipped, within the operation's limit of JSON.

    Raises MalformedBodyError, TooLargeError and UnsupportedTypeError.
    """
    limit = request.max_json
    text = await read_whole(request, limit, ("identity", "gzip"))
    if request.headers.get("Content-Encoding", "identity").lower() == "identity":
        return text
    unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        unpacked = unpacking.decompress(text, limit + 1)
    except zlib.error as error:
        raise MalformedBodyError("the body is not gzip, as Content-Encoding says") from error
    if len(unpacked) > limit:
        raise TooLargeError(f"the body is longer than {limit:,} bytes once it is unpacked")
    if not unpacking.eof:
        raise MalformedBodyError("the gzipped body ends too early: send it again")
    return unpacked


async def read_json(request: Request) -> dict[str, Any]:
    """Return the object in the body. Raises MalformedBodyError and TooLargeError."""
    return read_object(await read_whole(request, request.max_json), "the body")


async def read_json_as(request: Request, *media_types: str) -> dict[str, Any]:
    """Return the object in a body of one of these types. Also raises UnsupportedTypeError."""
    media_type = media_type_of(request)
    if media_type not in media_types:
        accepted = " or ".join(media_types)
        raise UnsupportedTypeError(f"send {accepted} here, not {media_type or 'bytes'!r}")
    return await read_json(request)


async def read_optional_json(request: Request) -> dict[str, Any]:
    """Return the object in the body; `{}` without one. Also raises UnsupportedTypeError."""
    return await read_json_as(request, JSON) if request.body_exists else {}


async def read_claimed(request: Request, model: Model) -> Fields:
    """Return the fields of an optional body. Raises MissingScopeError for a claimed time.

    Only the scope `admin` may claim the time of an event.
    """
    fields = read_as(model, await read_optional_json(request))
    if "made_at" in fields:
        request.principal.require("admin")
    return fields


async def gather(request: Request, limit: int) -> bytes:
    """Return the whole body. Raises TooLargeError above a limit in bytes, BusyError while all
    bodies together fill their memory, and MalformedBodyError."""
    pieces, size = list[bytes](), 0
    try:
        while chunk := await next_chunk(request):
            request.bodies.take(len(chunk))
            pieces.append(chunk)
            size += len(chunk)
            if size > limit:
                raise TooLargeError(f"the body is longer than {limit:,} bytes")
    finally:
        request.bodies.give_back(size)
    return b"".join(pieces)
