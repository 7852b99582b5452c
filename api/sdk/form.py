"""Request bodies: JSON, and the multipart/form-data of an upload.

The form is a head, the content and a tail, so that its length is known before it is sent.
"""

import secrets
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from asset_ledger.api.sdk.content import UploadContent

BYTES: Final = "application/octet-stream"

_HEAD: Final = (
    b'--%b\r\nContent-Disposition: form-data; name="json"\r\n\r\n%b\r\n'
    b'--%b\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n\r\n'
)
_TAIL: Final = b"\r\n--%b--\r\n"


class SourceError(Exception):
    """The content could not be read while it was sent: a failure of the caller, not the network."""

    def __init__(self, error: OSError | ValueError) -> None:
        super().__init__(str(error))
        self.error = error


class Body(NamedTuple):
    """The body of one attempt, and the headers that describe it."""

    headers: dict[str, str]
    data: bytes | AsyncIterator[bytes]
    size: int


async def json_body(json: bytes, media_type: str = "application/json") -> Body:
    """Return a JSON body."""
    return Body({"Content-Type": media_type}, json, len(json))


async def upload_body(fields: bytes, content: UploadContent | None) -> Body:
    """Return the body of an upload: fields (JSON), and a content or None."""
    if content is None:
        return await json_body(fields)
    boundary = secrets.token_hex(16).encode()  # random, so that no content contains it
    head, tail = _HEAD % (boundary, fields, boundary), _TAIL % boundary
    size = len(head) + content.size + len(tail)
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary.decode()}",
        "Content-Length": str(size),
    }
    small = await content.small()
    data = _pieces(head, content, tail) if small is None else head + small + tail
    return Body(headers, data, size)


async def raw_body(content: UploadContent) -> Body:
    """Return a body that is the content itself, of a type that leaves the asset's as it is."""
    headers = {"Content-Type": BYTES, "Content-Length": str(content.size)}
    small = await content.small()
    data = _pieces(b"", content, b"") if small is None else small
    return Body(headers, data, content.size)


async def _pieces(head: bytes, content: UploadContent, tail: bytes) -> AsyncIterator[bytes]:
    yield head
    try:
        async for piece in content.chunks():
            yield piece
    except (OSError, ValueError) as error:
        raise SourceError(error) from error
    yield tail
