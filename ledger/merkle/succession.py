"""The chain of a log's keys. The old and the new key sign each rotation, so that a holder of one
key can verify every later key.
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
    """Return the text that both keys sign: format, log id, old and new verifier key, by line."""
    return f"{_PREFIX}\n{log_id}\n{old}\n{new}\n".encode()


def check_succession(log_id: str, in_force: str, rotation: Mapping[str, str]) -> None:
    """Raise ProofError unless a rotation of the key in force is signed by it and the new key."""
    if rotation["old_key"] != in_force:
        raise ProofError(f"it replaces {rotation['old_key']}, not {in_force}, the key in force")
    text = rotation_text(log_id, rotation["old_key"], rotation["new_key"])
    for key, signature in zip(_KEYS, _SIGNATURES, strict=True):
        read_verifier_key(rotation[key]).check(_from_base64(rotation[signature]), text)


def key_after(trusted: str, leaves: Iterable[bytes]) -> str:
    """Return the key in force after the rotations in `leaves`, in the order of the log.

    Skip rotations before the one that replaces `trusted`. Raises ProofError.
    """
    log_id, key = trusted.partition("+")[0].rpartition("/")[2], trusted
    for leaf in leaves:
        rotation = _rotation(leaf, log_id)
        if rotation["old_key"] == key:
            check_succession(log_id, key, rotation)
            key = rotation["new_key"]
    return key


def _rotation(leaf: bytes, log_id: str) -> Mapping[str, Any]:
    """Decode a leaf. Raise ProofError unless it is a rotation of this log."""
    stream, _, topic, state = parts_of(leaf)
    if (stream, topic) != (log_id.encode(), TOPIC.encode()):
        raise ProofError("a rotation must be an event key.rotated of the log itself")
    try:
        rotation = orjson.loads(state)
    except ValueError as error:
        raise ProofError("a rotation must be JSON") from error
    names = (*_KEYS, *_SIGNATURES)
    if isinstance(rotation, dict) and all(isinstance(rotation.get(name), str) for name in names):
        return rotation
    raise ProofError("a rotation must have two keys and two signatures")


def _from_base64(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except ValueError as error:
        raise ProofError("a signature must be base64") from error
