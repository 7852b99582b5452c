"""Headers of contents: digests (RFC 9530), byte ranges (RFC 9110, 14), Content-Disposition.

Contents come from any source. A type that a browser could run in the API's origin is sent as an
attachment in a sandbox.
"""

import base64
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote

from asset_ledger.api.contract.errors import RangeError
from asset_ledger.api.contract.parameters import refuse
from asset_ledger.api.http.entry_names import shorten
from asset_ledger.ledger.errors import MalformedBodyError
from asset_ledger.ledger.ids import Digest, digest_from_hex

_SHA256: Final = re.compile(r"(?:^|,)\s*sha-256=([^,;]*)")
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]{43}=):\s*")


def repr_digest(digest: Digest) -> str:
    """Return the value of Repr-Digest for a content with this digest."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(digest.partition(':')[2])).decode()}:"


def announced_digest(headers: Mapping[str, str]) -> Digest | None:
    """Return the announced SHA-256 of a raw body, or None. Other algorithms are ignored.

    Bodies have no content coding, so Repr-Digest and Content-Digest mean the same bytes.
    """
    for name in ("Repr-Digest", "Content-Digest"):
        found = _SHA256.search(headers.get(name, ""))
        if found is not None:
            return _digest(name, found[1])
    return None


def _digest(name: str, value: str) -> Digest:
    found = _BYTES.fullmatch(value)
    if found is None:
        raise refuse(name, "must be sha-256=:<base64 of 32 bytes>:")
    return digest_from_hex(base64.b64decode(found[1]).hex())


class BodyDigest:
    """The SHA-256 that the head of a request announces for its body (RFC 9530)."""

    def __init__(self, announced: Digest) -> None:
        self._announced, self._hash = announced, sha256()

    def add(self, piece: bytes) -> None:
        """Add the next bytes; empty at the end. Raises MalformedBodyError for another digest."""
        self._hash.update(piece)
        if not piece and digest_from_hex(self._hash.hexdigest()) != self._announced:
            raise MalformedBodyError(
                "the body is not the one that Repr-Digest or Content-Digest announces: send it"
                " again; for the digest of a file in a form, send the field digest"
            )


_RANGE: Final = re.compile(r"bytes\s*=\s*([0-9]{0,999})\s*-\s*([0-9]{0,999})\s*", re.IGNORECASE)


class Span(NamedTuple):
    """The bytes [start, stop)."""

    start: int
    stop: int


def requested_range(header: str | None, size: int) -> Span | None:
    """Return the bytes that a Range header names: `a-b`, `a-` or `-n`. Raises RangeError.

    None is the whole content: no header, several ranges (which a server may ignore), or a range
    of another unit or form.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return _suffix(int(last), size)
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise RangeError(size)
    return Span(start, min(end, size - 1) + 1)


def _suffix(length: int, size: int) -> Span | None:
    if not length:
        raise RangeError(size)
    return Span(max(0, size - length), size) if size else None


_SHOWN: Final = re.compile(r"(?:image|audio|video)/(?!svg)[\w.-]+|text/plain", re.ASCII)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 !#$&'()+,.;=@^_`{}~\[\]-]")
MAX_FILE_NAME: Final = 255
"""Bytes of UTF-8, the limit of file systems. Clients refuse header fields above 8 KB."""

_ATTRIBUTE: Final = "!#$&+-.^_`|~"
"""Characters of an extended value, besides letters and digits (RFC 8187, 3.2.1)."""


def safety_headers(name: str, content_type: str) -> dict[str, str]:
    """Return Content-Disposition and the headers that keep a browser from running a content."""
    shown = _SHOWN.fullmatch(content_type.partition(";")[0].strip().lower())
    headers = {
        "Content-Disposition": content_disposition("inline" if shown else "attachment", name),
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return headers if shown else headers | {"Content-Security-Policy": "sandbox"}


def content_disposition(kind: str, name: str) -> str:
    """Return a Content-Disposition (RFC 6266): an ASCII name, and the exact one in `filename*`.

    A name of more than `MAX_FILE_NAME` bytes is cut before its extension.
    """
    name = shorten(name, MAX_FILE_NAME)
    plain = _UNSAFE.sub("_", name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE)}"
    return f'{kind}; filename="{plain}"{exact}'
