"""Digest fields (RFC 9530): `sha-256=:<base64>:`, of a content that comes and of one that goes."""

import base64
import re
from collections.abc import Mapping
from typing import Final

from asset_ledger.api.contract.parameters import refuse
from asset_ledger.ledger.ids import Digest, digest_from_hex

_SHA256: Final = re.compile(r"(?:^|,)\s*sha-256=([^,;]*)")
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]{43}=):\s*")


def repr_digest(digest: Digest) -> str:
    """The field for a content with this digest."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(digest.partition(':')[2])).decode()}:"


def announced_digest(headers: Mapping[str, str]) -> Digest | None:
    """The SHA-256 that a raw body was announced with. Other algorithms are not checked.

    Without a content coding the representation is the content, so either field says the same.
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
