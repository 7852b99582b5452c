"""Which key signs a log's checkpoints, from which event on, and how another one takes its place.

A rotation may be killed between any two of its steps; some key in force is always at hand:

1. the new key is made durable, as `checkpoint.key.next`;
2. the event `key.rotated`, signed by both keys, is committed: from here on the new key is in force;
3. `checkpoint.key.next` takes the place of `checkpoint.key`, and the old key is gone.

Killed before 2, the old key is in force and in its place, and what lies beside it is overwritten
by the next rotation. Killed before 3, `settle_key` does step 3 at the next start.
"""

import base64
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from eventsourcing.persistence import Notification

from asset_ledger.ledger.domain.ledger import SYSTEM, KeyRotated
from asset_ledger.ledger.errors import CorruptLogError, ProofError, SigningKeyError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, Command, EventLog, LogReader
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.merkle.key import (
    Signer,
    load_key,
    make_key,
    move_key,
    read_verifier_key,
    verifier_key,
)
from asset_ledger.ledger.merkle.succession import check_succession, rotation_text


class KeyInForce(NamedTuple):
    """A verifier key, and the smallest tree whose checkpoint it signs."""

    since: int
    key: str


def keys_in_force(log: LogReader, codec: Codec) -> list[KeyInForce]:
    """Every key that this log was signed with, the first one first.

    Raises CorruptLogError for a rotation that was not signed by both its keys.
    """
    opened = read_identity(log, codec)
    keys = [KeyInForce(1, opened.public_key)]
    for stored in rotations(log, opened.log_id):
        rotated = codec.decode(stored).event
        if not isinstance(rotated, KeyRotated):
            raise CorruptLogError(f"event {stored.id} is not what its topic says")
        try:
            check_succession(opened.log_id, keys[-1].key, asdict(rotated))
        except ProofError as error:
            raise CorruptLogError(
                f"event {stored.id} is no rotation of the key: {error}"
            ) from error
        keys.append(KeyInForce(stored.id, rotated.new_key))
    return keys


def rotations(log: LogReader, log_id: str, *, upto: int | None = None) -> list[Notification]:
    """The stored events that put a key in another's place, in order, up to a position."""
    stream = log.stream(log_id, upto=upto)
    return [stored for stored in stream if stored.topic == KeyRotated.TOPIC]


def signer_in_force(log: LogReader, codec: Codec, key_file: Path) -> Signer:
    """Who signs checkpoints now, once a rotation that was killed on its way is finished."""
    in_force = keys_in_force(log, codec)[-1].key
    settle_key(key_file, in_force)
    return Signer(key_file, in_force)


def settle_key(key_file: Path, in_force: str) -> None:
    """Finish a rotation that was killed after its event was committed; else change nothing."""
    waiting = _next(key_file)
    if waiting.exists() and _is_key(waiting, in_force):
        move_key(waiting, key_file)


def rotate(log: EventLog, codec: Codec, key_file: Path) -> KeyInForce:
    """Sign by a new key from here on, which is the answer.

    The folder must be locked, and its server stopped: a server that runs does the same by
    `Proofs.rotate`. Raises SigningKeyError without the key in force.
    """
    event = rotation(log, codec, signer_in_force(log, codec, key_file), by=SYSTEM)
    (outcome,) = log.append([Command([event])], lambda _: None)
    if not isinstance(outcome, Appended):
        raise outcome
    settle_key(key_file, event.new_key)
    return KeyInForce(outcome.last, event.new_key)


def rotation(log: LogReader, codec: Codec, signer: Signer, *, by: str) -> KeyRotated:
    """The event that puts a new key, which is durable already, in the place of the signer's.

    Raises SigningKeyError without that: it has to sign its own end.
    """
    signer.check()
    log_id = read_identity(log, codec).log_id
    old, new = load_key(signer.file), make_key(_next(signer.file))
    new_key = verifier_key(read_verifier_key(signer.key).name, new)
    text = rotation_text(log_id, signer.key, new_key)
    return KeyRotated(
        originator_id=log_id,
        originator_version=len(log.stream(log_id)) + 1,
        by=by,
        old_key=signer.key,
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
