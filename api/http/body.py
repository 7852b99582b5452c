"""Request bodies: read in pieces, or as one JSON object, with limits on length and on silence.

Promise: a body that breaks off, stalls or is announced too large ends as a refusal of this request.
"""

import asyncio
from typing import Any, Final

from aiohttp import web

from asset_ledger.api.contract.errors import (
    StalledBodyError,
    UnsupportedTypeError,
    UploadTooLargeError,
)
from asset_ledger.api.contract.operations import JSON
from asset_ledger.api.contract.strict_json import read_object
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.content.store import Stage, Staged
from asset_ledger.ledger.errors import MalformedBodyError, TooLargeError

MAX_JSON: Final = 256 * 1024
"""Bytes that a JSON object may have where an operation names no other limit."""

SHORT: Final = 128 * 1024
"""Bodies that are announced with at most this many bytes are read whole."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


async def begin(request: Request) -> None:
    """Let the client send its body, if it waits to be asked (RFC 9110, 10.1.1)."""
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise UnsupportedTypeError(f"a body with Content-Encoding {coding!r} is not read")
    coding = request.headers.get("Transfer-Encoding", "chunked")
    if coding.lower() != "chunked":  # only the chunks are undone: it would be kept as it came
        raise UnsupportedTypeError(f"a body with Transfer-Encoding {coding!r} is not read")
    if waits_to_be_asked(request):
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # else an error after this would count as half an answer


def waits_to_be_asked(request: Request) -> bool:
    """Does the client hold its body back until it is told to go on?"""
    return request.headers.get("Expect", "").lower() == "100-continue"


def check_length(request: Request, limit: int) -> None:
    """Refuse a body by its Content-Length, before a byte of it is read. 0 is no limit."""
    announced = request.content_length
    if limit and announced is not None and announced > limit:
        raise TooLargeError(f"the body has {announced:,} bytes; the limit is {limit:,}")


def check_upload(request: Request, limit: int, overhead: int = 0) -> None:
    """The same of an upload, whose body may be longer than its content by so much."""
    announced = request.content_length
    if limit and announced is not None and announced > limit + overhead:
        raise UploadTooLargeError(limit)


def check_content(media_type: str) -> None:
    """Raises UnsupportedTypeError for a form, where the body is the content itself."""
    if media_type.startswith("multipart/") or media_type == "application/x-www-form-urlencoded":
        raise UnsupportedTypeError(
            f"{media_type} is not read: send multipart/form-data, application/json,"
            " or the content itself with its own Content-Type"
        )


async def receive(request: Request, stage: Stage, limit: int) -> Staged:
    """The body as a content. Raises UploadTooLargeError above the limit; 0 is none."""
    size = 0
    while chunk := await next_chunk(request):
        size += len(chunk)
        if limit and size > limit:
            raise UploadTooLargeError(limit)
        await stage.write(chunk)
    return await stage.finish()


def media_type_of(request: Request) -> str:
    """The media type that the body was declared with, bare; empty if it was not."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def read_short(request: Request) -> bytes | None:
    """The whole body at once, if it was announced as a short one."""
    announced = request.content_length
    if announced is None or announced > SHORT:
        return None
    if request.content.is_eof():  # all of it came with the head: no need to wait
        return _arrived(request)
    pieces = []
    while chunk := await next_chunk(request):
        pieces.append(chunk)
    return b"".join(pieces)


async def next_chunk(request: Request) -> bytes:
    """What came since the last time; empty at the end of the body."""
    try:
        async with asyncio.timeout(request.body_timeout):
            return await request.content.readany()
    except TimeoutError as error:
        raise StalledBodyError(
            f"no byte of the body came for {request.body_timeout:g} s"
        ) from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise MalformedBodyError("the body broke off") from error


def _arrived(request: Request) -> bytes:
    try:
        return request.content.read_nowait()
    except (web.RequestPayloadError, ConnectionError) as error:
        raise MalformedBodyError("the body broke off") from error


async def read_json(request: Request, limit: int = MAX_JSON) -> dict[str, Any]:
    """The object in the body. Raises MalformedBodyError and TooLargeError."""
    check_length(request, limit)
    await begin(request)
    text = await read_short(request)
    return read_object(await _long(request, limit) if text is None else text, "the body")


async def read_json_as(
    request: Request, *media_types: str, limit: int = MAX_JSON
) -> dict[str, Any]:
    """The object in a body of one of these types. Raises UnsupportedTypeError as well."""
    media_type = media_type_of(request)
    if media_type not in media_types:
        wanted = " or ".join(media_types)
        raise UnsupportedTypeError(f"send {wanted} here, not {media_type or 'bytes'!r}")
    return await read_json(request, limit)


async def read_optional_json(request: Request) -> dict[str, Any]:
    """The object in the body, empty where no body came. Raises UnsupportedTypeError as well."""
    return await read_json_as(request, JSON) if request.body_exists else {}


async def _long(request: Request, limit: int) -> bytes:
    pieces, size = [], 0
    while chunk := await next_chunk(request):
        pieces.append(chunk)
        size += len(chunk)
        if size > limit:
            raise TooLargeError(f"the body is longer than {limit:,} bytes")
    return b"".join(pieces)
