"""Which key signs a log's checkpoints, from which fact on, and how another one takes its place.

A rotation may be killed between any two of its steps; some key in force is always at hand:

1. the new key is made durable, as `checkpoint.key.next`;
2. the fact `key.rotated`, signed by both keys, is committed: from here on the new key is in force;
3. `checkpoint.key.next` takes the place of `checkpoint.key`, and the old key is gone.

Killed before 2, the old key is in force and in its place, and what lies beside it is overwritten
by the next rotation. Killed before 3, `settle_key` does step 3 at the next start.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ledger.codec import Codec
from ledger.errors import CorruptLogError, ProofError, SigningKeyError
from ledger.log import Appended, Command, EventLog, LogReader
from ledger.merkle.key import (
    Signer,
    load_key,
    make_key,
    move_key,
    read_verifier_key,
    verifier_key,
)
from ledger.opening import read_identity
from ledger.origin import SYSTEM, KeyRotated

_PREFIX: Final = "asset-ledger/key-rotation/1"


class KeyInForce(NamedTuple):
    """A verifier key, and the smallest tree whose checkpoint it signs."""

    since: int
    key: str


def rotation_text(log_id: str, old: str, new: str) -> bytes:
    """What both keys sign when one takes the other's place: the verifier keys, line by line."""
    return f"{_PREFIX}\n{log_id}\n{old}\n{new}\n".encode()


def keys_in_force(log: LogReader, codec: Codec) -> list[KeyInForce]:
    """Every key that this log was signed with, the first one first.

    Raises CorruptLogError for a rotation that was not signed by both its keys.
    """
    opened = read_identity(log, codec)
    keys = [KeyInForce(1, opened.public_key)]
    for position, rotated in _rotations(log, codec, opened.log_id):
        try:
            check_rotation(opened.log_id, keys[-1].key, rotated)
        except ProofError as error:
            raise CorruptLogError(f"fact {position} is no rotation of the key: {error}") from error
        keys.append(KeyInForce(position, rotated.new_key))
    return keys


def _rotations(log: LogReader, codec: Codec, log_id: str) -> Iterator[tuple[int, KeyRotated]]:
    for stored in log.stream(log_id):
        recorded = codec.decode(stored)
        if isinstance(recorded.event, KeyRotated):
            yield recorded.position, recorded.event


def check_rotation(log_id: str, in_force: str, rotated: KeyRotated) -> None:
    """Raises ProofError unless the key in force, and the new one, signed this rotation."""
    if rotated.old_key != in_force:
        raise ProofError(f"it replaces {rotated.old_key}, and {in_force} is in force")
    text = rotation_text(log_id, rotated.old_key, rotated.new_key)
    for key, signature in (
        (rotated.old_key, rotated.old_signature),
        (rotated.new_key, rotated.new_signature),
    ):
        read_verifier_key(key).check(_decoded(signature), text)


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except ValueError as error:
        raise ProofError("a signature is base64") from error


def settle_key(key_file: Path, in_force: str) -> None:
    """Finish a rotation that was killed after its fact was committed; else change nothing."""
    waiting = _next(key_file)
    if waiting.exists() and _is_key(waiting, in_force):
        move_key(waiting, key_file)


def rotate(log: EventLog, codec: Codec, key_file: Path) -> tuple[int, KeyRotated]:
    """Sign by a new key from here on; answers the fact that says so, and its position.

    The folder must be locked, and its server stopped. Raises SigningKeyError without the key in
    force, which has to sign its own end.
    """
    in_force = keys_in_force(log, codec)[-1].key
    settle_key(key_file, in_force)
    Signer(key_file, in_force).check()
    log_id = read_identity(log, codec).log_id
    fact = _rotation(log_id, len(log.stream(log_id)) + 1, key_file, in_force)
    (outcome,) = log.append([Command([fact])], lambda _: None)
    if not isinstance(outcome, Appended):
        raise outcome
    settle_key(key_file, fact.new_key)
    return outcome.last, fact


def _rotation(log_id: str, version: int, key_file: Path, in_force: str) -> KeyRotated:
    """The fact, of a new key that is durable already."""
    old, new = load_key(key_file), make_key(_next(key_file))
    new_key = verifier_key(read_verifier_key(in_force).name, new)
    text = rotation_text(log_id, in_force, new_key)
    return KeyRotated(
        originator_id=log_id,
        originator_version=version,
        by=SYSTEM,
        old_key=in_force,
        new_key=new_key,
        old_signature=base64.b64encode(old.sign(text)).decode(),
        new_signature=base64.b64encode(new.sign(text)).decode(),
    )


def _next(key_file: Path) -> Path:
    return key_file.with_name(f"{key_file.name}.next")


def _is_key(path: Path, key: str) -> bool:
    """Does this file hold the private half of a verifier key?"""
    name = read_verifier_key(key).name
    try:
        return verifier_key(name, load_key(path)) == key
    except SigningKeyError:
        return False
