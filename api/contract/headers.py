"""The headers of requests and answers: what each means, and how a user id travels in one."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from asset_ledger.api.contract.parameters import Schema

OWNER: Final = "Asset-Ledger-User"
"""By this header an admin asks for another user."""

_TEXT: Final[Schema] = {"type": "string"}
_POSITION: Final[Schema] = {"type": "integer", "minimum": 0}

HEADERS: Final[Mapping[str, tuple[str, Schema]]] = {
    OWNER: (
        "Whose assets and jobs this is about: a percent-encoded user id. `admin` for others'.",
        _TEXT,
    ),
    "Idempotency-Key": (
        "Makes a retry safe: the same request with the same key records once.",
        {"type": "string", "pattern": r"^[\x20-\x7e]{1,255}$"},
    ),
    "If-Match": ("Only if this is the entity tag of what is there now; else 412.", _TEXT),
    "If-None-Match": ("304 if the client has this already.", _TEXT),
    "If-Range": ("The range, if the client's part is of these bytes; else all of them.", _TEXT),
    "Range": ("One range of bytes: `bytes=0-99`.", _TEXT),
    "Repr-Digest": ("`sha-256=:<base64>:` of a raw body (RFC 9530).", _TEXT),
    "Content-Digest": ("The same, under its other name.", _TEXT),
    "Prefer": (
        "How much to answer (RFC 7240): `return=minimal` or `return=receipt`.",
        _TEXT,
    ),
    "Last-Event-ID": ("The position that a stream is resumed after.", _POSITION),
}
"""By name: what a request says with it, and the schema of its value."""

ANSWERED: Final[Mapping[str, tuple[str, Schema]]] = {
    "X-Request-Id": ("The request's id, by which the server's log names it.", _TEXT),
    "Ledger-Position": ("The position of the log that the answer reflects.", _POSITION),
}
"""The same of an answer."""


def encode_owner(user_id: str) -> str:
    """Percent-encode a user id, so that it arrives unchanged, whatever its characters.

    A header by itself loses spaces at its ends, and a browser refuses letters beyond Latin-1.
    Text that is not UTF-8 is encoded too: the ledger refuses it.
    """
    return quote(user_id, safe="", errors="surrogatepass")


def decode_owner(value: str) -> str:
    """Return the user id in a header. Bytes that are not UTF-8 become surrogates, which no user
    id has."""
    return unquote(value, errors="surrogateescape")
