"""A body that is one JSON object, of 256 KiB at most where nothing else is said."""

from typing import Any, Final

from asset_ledger.api.contract.errors import UnsupportedTypeError
from asset_ledger.api.contract.strict_json import read_object
from asset_ledger.api.http.body import begin, check_length, media_type_of, next_chunk, read_short
from asset_ledger.api.http.form import MAX_JSON
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import TooLargeError

JSON: Final = "application/json"


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
