"""The keys that sign a log's checkpoints, and the rotation to a new key.

A key is in force from its event (`ledger.opened`, `key.rotated`) until the next. A rotation may be
killed between any two steps, and the key in force is always on disk:

1. the new key is made durable, as `checkpoint.key.next`;
2. the event `key.rotated`, signed by both keys, is committed: from here on the new key is in force;
3. `checkpoint.key.next` replaces `checkpoint.key`.

Killed before step 2, the next rotation overwrites `checkpoint.key.next`. Killed before step 3,
`finish_rotation` does step 3 at the next start.
"""

import base64
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from eventsourcing.persistence import Notification

from asset_ledger.ledger.domain.ledger import SYSTEM, KeyRotated
from asset_ledger.ledger.errors import CorruptLogError, ProofError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, Command, EventLog, LogReader
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.merkle.key import (
    Signer,
    load_key,
    make_key,
    move_key,
    read_key,
    read_verifier_key,
    verifier_key,
)
from asset_ledger.ledger.merkle.succession import check_succession, rotation_text
from asset_ledger.ledger.storage.files import storage_errors


class KeyInForce(NamedTuple):
    """A verifier key, and the size of the smallest tree whose checkpoint it signs."""

    since: int
    key: str


def keys_in_force(log: LogReader, codec: Codec) -> list[KeyInForce]:
    """Return every key that signed this log's checkpoints, the oldest first.

    Raises CorruptLogError for a rotation without valid signatures by both keys.
    """
    opened = read_identity(log, codec)
    keys = [KeyInForce(1, opened.public_key)]
    for stored in rotations(log, opened.log_id):
        rotated = codec.decode(stored).event
        if not isinstance(rotated, KeyRotated):
            raise CorruptLogError(f"event {stored.id} has the topic of another event")
        try:
            check_succession(opened.log_id, keys[-1].key, asdict(rotated))
        except ProofError as error:
            raise CorruptLogError(f"event {stored.id} is no valid rotation: {error}") from error
        keys.append(KeyInForce(stored.id, rotated.new_key))
    return keys


def rotations(log: LogReader, log_id: str, *, upto: int | None = None) -> list[Notification]:
    """Return the stored `key.rotated` events, in order, up to a position."""
    return log.stream(log_id, upto=upto, topics=[KeyRotated.TOPIC])


def signer_in_force(log: LogReader, codec: Codec, key_file: Path) -> Signer:
    """Finish a rotation that was killed, then return the signer with the key in force."""
    in_force = keys_in_force(log, codec)[-1].key
    finish_rotation(key_file, in_force)
    return Signer(key_file, in_force)


def check_key_file(key_file: Path, in_force: str) -> None:
    """Raise SigningKeyError unless the key in force is there, perhaps in a killed rotation."""
    if not _is_key(_next(key_file), in_force):
        Signer(key_file, in_force).check()


def key_texts(key_file: Path) -> list[bytes]:
    """Return the bytes of the key file, and of the one that a rotation under way has made."""
    return [path.read_bytes() for path in (key_file, _next(key_file)) if path.is_file()]


def is_private_half(text: bytes, key: str) -> bool:
    """Return whether these bytes of a key file are the private half of a verifier key."""
    try:
        return verifier_key(read_verifier_key(key).name, read_key(text)) == key
    except (ValueError, TypeError):
        return False


def finish_rotation(key_file: Path, in_force: str) -> None:
    """Do step 3 of a rotation that was killed after step 2; else change nothing."""
    new_key = _next(key_file)
    if new_key.exists() and _is_key(new_key, in_force):
        move_key(new_key, key_file)


def rotate(log: EventLog, codec: Codec, key_file: Path) -> KeyInForce:
    """Rotate to a new key, and return it.

    The caller holds the lock of the folder; a running server uses `Proofs.rotate` instead.
    Raises SigningKeyError without the key in force.
    """
    event = rotation(log, codec, signer_in_force(log, codec, key_file), by=SYSTEM)
    (outcome,) = log.append([Command([event])], lambda _: None)
    if not isinstance(outcome, Appended):
        raise outcome
    finish_rotation(key_file, event.new_key)
    return KeyInForce(outcome.last, event.new_key)


def rotation(log: LogReader, codec: Codec, signer: Signer, *, by: str) -> KeyRotated:
    """Make a new key durable, and return the event that rotates to it.

    Raises SigningKeyError without the signer's key, which has to sign the rotation.
    """
    signer.check()
    log_id = read_identity(log, codec).log_id
    with storage_errors("the key was not rotated"):
        old, new = load_key(signer.file), make_key(_next(signer.file))
    new_key = verifier_key(read_verifier_key(signer.key).name, new)
    text = rotation_text(log_id, signer.key, new_key)
    return KeyRotated(
        originator_id=log_id,
        originator_version=log.version_at(log_id) + 1,
        by=by,
        old_key=signer.key,
        new_key=new_key,
        old_signature=base64.b64encode(old.sign(text)).decode(),
        new_signature=base64.b64encode(new.sign(text)).decode(),
    )


def _next(key_file: Path) -> Path:
    return key_file.with_name(f"{key_file.name}.next")


def _is_key(path: Path, key: str) -> bool:
    """Return whether this file holds the private half of a verifier key."""
    try:
        return is_private_half(path.read_bytes(), key)
    except OSError:
        return False
