"""The two names that events are full of: asset ids and content digests.

Both are plain strings, checked once at the door by `parse_*` and trusted after it.
"""

import hashlib
import re
from typing import Final, NewType

from uuid_utils import uuid7

AssetId = NewType("AssetId", str)
"""32 lower-case hex digits. New ones are UUIDv7, so that they sort by age."""

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hex digits."""

_GIL_KEPT: Final = 2_047
_ASSET_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def new_asset_id() -> AssetId:
    """An id that no other asset has."""
    return AssetId(uuid7().hex)


def parse_asset_id(text: str) -> AssetId:
    """The id that `text` spells; ValueError for anything but 32 lower-case hex digits."""
    if not _ASSET_ID.fullmatch(text):
        raise ValueError("an asset id is 32 lower-case hex digits")
    return AssetId(text)


def parse_digest(text: str) -> Digest:
    """The digest that `text` spells; ValueError for anything but `sha256:<64 hex digits>`."""
    if not _DIGEST.fullmatch(text):
        raise ValueError("a digest is 'sha256:' and 64 lower-case hex digits")
    return Digest(text)


def digest_of(content: bytes) -> Digest:
    """The digest of these bytes.

    Hashed in slices: from 2,048 bytes on hashlib lets go of the GIL, and an event loop that does so
    for the 4 us of a small upload gets it back from a busy thread a switch interval later.
    """
    hashed, projection = hashlib.sha256(), memoryview(content)
    for start in range(0, len(content), _GIL_KEPT):
        hashed.update(projection[start : start + _GIL_KEPT])
    return digest_from_hex(hashed.hexdigest())


def digest_from_hex(hexdigest: str) -> Digest:
    """The digest whose SHA-256 is `hexdigest`, as hashlib prints it."""
    return Digest("sha256:" + hexdigest)
