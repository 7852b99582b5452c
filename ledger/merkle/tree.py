"""The leaves of the Merkle tree, one a fact, hashed exactly as RFC 6962 section 2.1 says. Pure."""

import hashlib
from typing import Final

LEAF_PREFIX: Final = b"asset-ledger/leaf/1\n"


def leaf_of(originator_id: str, version: int, topic: str, state: bytes) -> bytes:
    """The bytes of a leaf: a prefix, then four parts, each behind its length as u32 big-endian.

    A fact's position is not among them: it is the leaf's index plus one.
    """
    leaf = bytearray(LEAF_PREFIX)
    for part in (originator_id.encode("ascii"), b"%d" % version, topic.encode(), state):
        leaf += len(part).to_bytes(4, "big")
        leaf += part
    return bytes(leaf)


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of 0x00 and the leaf: the first byte keeps leaves and inner nodes apart."""
    return hashlib.sha256(b"\x00" + leaf).digest()
