"""Which key takes the place of which: both sign each change, so that whoever holds one key of a log
comes to every later one, and to no other.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from asset_ledger.ledger.errors import ProofError
from asset_ledger.ledger.merkle.key import read_verifier_key
from asset_ledger.ledger.merkle.tree import parts_of

TOPIC: Final = "key.rotated"

_PREFIX: Final = "asset-ledger/key-rotation/1"
_KEYS: Final = ("old_key", "new_key")
_SIGNATURES: Final = ("old_signature", "new_signature")


def rotation_text(log_id: str, old: str, new: str) -> bytes:
    """What both keys sign when one takes the other's place: the verifier keys, line by line."""
    return f"{_PREFIX}\n{log_id}\n{old}\n{new}\n".encode()


def check_succession(log_id: str, in_force: str, said: Mapping[str, str]) -> None:
    """Raises ProofError unless the key in force, and the new one, signed what a rotation says."""
    if said["old_key"] != in_force:
        raise ProofError(f"it replaces {said['old_key']}, and {in_force} is in force")
    text = rotation_text(log_id, said["old_key"], said["new_key"])
    for key, signature in zip(_KEYS, _SIGNATURES, strict=True):
        read_verifier_key(said[key]).check(_decoded(said[signature]), text)


def key_after(kept: str, leaves: Iterable[bytes]) -> str:
    """The key that a kept one leads to, by the leaves of rotations in the order of the log.

    Those before the kept key are passed over. Raises ProofError.
    """
    log_id, key = kept.partition("+")[0].rpartition("/")[2], kept
    for leaf in leaves:
        said = _rotation(leaf, log_id)
        if said["old_key"] == key:
            check_succession(log_id, key, said)
            key = said["new_key"]
    return key


def _rotation(leaf: bytes, log_id: str) -> Mapping[str, Any]:
    """What a leaf says. Raises ProofError unless it is one of this log's rotations."""
    stream, _, topic, state = parts_of(leaf)
    if (stream, topic) != (log_id.encode(), TOPIC.encode()):
        raise ProofError("a rotation is an event of the log itself")
    said = orjson.loads(state)
    if not all(isinstance(said.get(name), str) for name in (*_KEYS, *_SIGNATURES)):
        raise ProofError("a rotation names two keys, and bears their signatures")
    return said  # type: ignore[no-any-return]


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except ValueError as error:
        raise ProofError("a signature is base64") from error
