"""A body that is one JSON object, at most 256 KiB of it."""

from typing import Any

from api.contract.errors import UnsupportedTypeError
from api.contract.strict_json import read_object
from api.http.body import begin, check_length, next_chunk, read_short
from api.http.form import MAX_JSON
from api.http.request import Request
from ledger.errors import TooLargeError


async def read_json(request: Request) -> dict[str, Any]:
    """The object in the body. Raises MalformedBodyError and TooLargeError."""
    check_length(request, MAX_JSON)
    await begin(request)
    text = await read_short(request)
    return read_object(await _long(request) if text is None else text, "the body")


async def read_optional_json(request: Request) -> dict[str, Any]:
    """The object in the body, empty where no body came. Raises UnsupportedTypeError as well."""
    if not request.body_exists:
        return {}
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedTypeError(f"send application/json here, not {media_type or 'bytes'!r}")
    return await read_json(request)


async def _long(request: Request) -> bytes:
    text = b""
    while chunk := await next_chunk(request):
        text += chunk
        if len(text) > MAX_JSON:
            raise TooLargeError(f"the body is longer than {MAX_JSON:,} bytes")
    return text
