"""Asset ids and content digests: plain strings, checked once by `parse_*` and trusted after it."""

import hashlib
import re
from typing import Final, NewType

from uuid_utils import uuid7

AssetId = NewType("AssetId", str)
"""32 lower-case hex digits. New ids are UUIDv7, so that they sort by age."""

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hex digits."""

_GIL_HELD: Final = 2_047
_ASSET_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def new_asset_id() -> AssetId:
    """Return a new unique id."""
    return AssetId(uuid7().hex)


def parse_asset_id(text: str) -> AssetId:
    """Return `text` as an id. Raise ValueError unless it is 32 lower-case hex digits."""
    if not _ASSET_ID.fullmatch(text):
        raise ValueError("an asset id must be 32 lower-case hex digits")
    return AssetId(text)


def bytes_of(asset_id: str) -> bytes:
    """Return an asset id as 16 bytes, for tables that only look assets up by it."""
    return bytes.fromhex(asset_id)


def parse_digest(text: str) -> Digest:
    """Return `text` as a digest. Raise ValueError unless it is `sha256:<64 hex digits>`."""
    if not _DIGEST.fullmatch(text):
        raise ValueError("a digest must be 'sha256:' and 64 lower-case hex digits")
    return Digest(text)


def digest_of(content: bytes | bytearray) -> Digest:
    """Return the digest of `content`.

    Hash in slices: hashlib releases the GIL for 2,048 bytes or more, and a busy thread gives it
    back to the event loop only a switch interval (5 ms) later. Hashing a slice takes 4 us.
    """
    hashed, view = hashlib.sha256(), memoryview(content)
    for start in range(0, len(content), _GIL_HELD):
        hashed.update(view[start : start + _GIL_HELD])
    return digest_from_hex(hashed.hexdigest())


def digest_from_hex(hexdigest: str) -> Digest:
    """Return the digest of a SHA-256 in hex, as hashlib prints it."""
    return Digest("sha256:" + hexdigest)
