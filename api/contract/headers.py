"""The headers of requests and responses, and the encoding of a user id in one."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from asset_ledger.api.contract.parameters import Schema

OWNER: Final = "Asset-Ledger-User"
"""The header with which an admin acts for another user."""

_TEXT: Final[Schema] = {"type": "string"}
_POSITION: Final[Schema] = {"type": "integer", "minimum": 0}

REQUEST_HEADERS: Final[Mapping[str, tuple[str, Schema]]] = {
    OWNER: (
        "The user to act for, percent-encoded. Another user than the caller needs `admin`.",
        _TEXT,
    ),
    "Idempotency-Key": (
        "Makes a retry safe: a request with the same key is recorded only once.",
        {"type": "string", "pattern": r"^[\x20-\x7e]{1,255}$"},
    ),
    "If-Match": ("Change the asset only if this is its current entity tag; else 412.", _TEXT),
    "If-None-Match": ("Answer 304 if this is the current entity tag.", _TEXT),
    "If-Range": ("Answer the range only if this is the current entity tag; else the whole.", _TEXT),
    "Range": ("One range of bytes: `bytes=0-99`.", _TEXT),
    "Repr-Digest": ("`sha-256=:<base64>:` of a raw body (RFC 9530).", _TEXT),
    "Content-Digest": ("The same as Repr-Digest.", _TEXT),
    "Prefer": (
        "What to return (RFC 7240): `return=minimal` or `return=receipt`.",
        _TEXT,
    ),
    "Tus-Resumable": (
        "The version of the tus protocol.",
        {"type": "string", "pattern": r"^1\.0\.0$"},
    ),
    "Upload-Length": ("The bytes of the whole upload.", _POSITION),
    "Upload-Offset": ("The bytes of the upload that have arrived.", _POSITION),
    "Upload-Metadata": ("Fields of the asset: a name, a space and base64; commas between.", _TEXT),
    "Upload-Checksum": ("`sha256 <base64>` of the bytes in this request.", _TEXT),
    "X-HTTP-Method-Override": (
        "The method that is meant.",
        {"type": "string", "pattern": "^(PATCH|DELETE|HEAD)$"},
    ),
    "Last-Event-ID": ("Resume the stream after this position.", _POSITION),
}
"""Request headers by name: a description and the schema of the value."""

RESPONSE_HEADERS: Final[Mapping[str, tuple[str, Schema]]] = {
    "X-Request-Id": ("The id of the request in the server's log.", _TEXT),
    "Ledger-Position": ("The position of the log that the response reflects.", _POSITION),
}
"""Response headers likewise."""


def encode_owner(user_id: str) -> str:
    """Percent-encode a user id. A plain header value loses outer spaces and is limited to Latin-1.

    Text that is not UTF-8 is encoded too: the ledger refuses it.
    """
    return quote(user_id, safe="", errors="surrogatepass")


def decode_owner(value: str) -> str:
    """Return the user id in a header. Bytes that are not UTF-8 become surrogates: never an id."""
    return unquote(value, errors="surrogateescape")
