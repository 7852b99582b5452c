"""Rotating the key: signatures before and after, and a kill at every line."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from asset_ledger.ledger.domain.ledger import KeyRotated, origin_line
from asset_ledger.ledger.errors import CorruptLogError, ProofError, SigningKeyError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.key_rotation import finish_rotation, keys_in_force, rotate
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.merkle.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from asset_ledger.ledger.merkle.key import Signer, load_key, make_key, verifier_key
from asset_ledger.ledger.merkle.succession import check_succession, rotation_text
from tests.builders import command
from tests.contracts.event_log import appended, creation
from tests.house.source import ROOT

LOG = "0" * 31 + "1"


def rotated_by(log: SqliteLog, key_file: Path) -> KeyRotated:
    """Rotate the key, and return the event."""
    since, _ = rotate(log, Codec(), key_file)
    (stored,) = log.read(since - 1, 1)
    event = Codec().decode(stored).event
    assert isinstance(event, KeyRotated)
    return event


def check_rotation(log_id: str, in_force: str, rotated: KeyRotated) -> None:
    check_succession(log_id, in_force, asdict(rotated))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.key"


@pytest.fixture
def log(tmp_path: Path, key_file: Path) -> Iterator[SqliteLog]:
    log = SqliteLog(tmp_path / "ledger.db", Codec())
    open_identity(log, Codec(), key_file, new_log_id=LOG)
    yield log
    log.close()


def current(log: SqliteLog) -> str:
    return keys_in_force(log, Codec())[-1].key


def checkpoint(key_file: Path, key: str, size: int) -> str:
    return sign_checkpoint(Checkpoint(origin_line(LOG), size, bytes(32)), Signer(key_file, key))


def test_the_new_key_signs_from_the_rotation_on(log: SqliteLog, key_file: Path) -> None:
    appended(log, creation(2))
    old = current(log)

    since, new = rotate(log, Codec(), key_file)

    assert since == 3
    assert keys_in_force(log, Codec()) == [(1, old), (3, new)]
    Signer(key_file, new).check()
    with pytest.raises(SigningKeyError, match="is not the key that this log names"):
        Signer(key_file, old).check()
    assert [path.name for path in key_file.parent.glob("*.key*")] == ["checkpoint.key"]


def test_a_checkpoint_by_the_old_key_stays_valid(log: SqliteLog, key_file: Path) -> None:
    old = current(log)
    before = checkpoint(key_file, old, 1)

    rotated = rotated_by(log, key_file)
    after = checkpoint(key_file, rotated.new_key, 2)

    assert open_checkpoint(before, old).size == 1
    assert open_checkpoint(after, rotated.new_key).size == 2
    with pytest.raises(ProofError, match="did not sign"):
        open_checkpoint(after, old)


def test_the_first_key_verifies_every_rotation(log: SqliteLog, key_file: Path) -> None:
    key = current(log)
    for _ in range(3):
        rotate(log, Codec(), key_file)

    events = [Codec().decode(stored).event for stored in log.stream(LOG)]
    for rotated in (event for event in events if isinstance(event, KeyRotated)):
        check_rotation(LOG, key, rotated)
        key = rotated.new_key

    assert key == current(log)
    assert [each.since for each in keys_in_force(log, Codec())] == [1, 2, 3, 4]


def test_both_keys_sign_the_rotation_text(log: SqliteLog, key_file: Path) -> None:
    old_private = load_key(key_file)

    rotated = rotated_by(log, key_file)

    text = f"asset-ledger/key-rotation/1\n{LOG}\n{rotated.old_key}\n{rotated.new_key}\n".encode()
    assert rotation_text(LOG, rotated.old_key, rotated.new_key) == text
    assert base64.b64decode(rotated.old_signature) == old_private.sign(text)
    assert base64.b64decode(rotated.new_signature) == load_key(key_file).sign(text)
    assert rotated.by == "system"


def test_rotate_fails_without_the_key_in_force(log: SqliteLog, key_file: Path) -> None:
    key_file.unlink()
    with pytest.raises(SigningKeyError, match="is not in the data folder"):
        rotate(log, Codec(), key_file)

    make_key(key_file)
    with pytest.raises(SigningKeyError, match="is not the key that this log names"):
        rotate(log, Codec(), key_file)

    assert log.head().position == 1


def test_finish_rotation_keeps_the_old_key_without_the_event(
    log: SqliteLog, key_file: Path
) -> None:
    old = current(log)
    make_key(key_file.with_name("checkpoint.key.next"))

    finish_rotation(key_file, old)

    Signer(key_file, old).check()
    rotated = rotated_by(log, key_file)  # and another rotation succeeds
    Signer(key_file, rotated.new_key).check()


def test_finish_rotation_installs_the_new_key_after_the_event(
    log: SqliteLog, key_file: Path
) -> None:
    before = key_file.read_bytes()
    rotated = rotated_by(log, key_file)
    key_file.rename(key_file.with_name("checkpoint.key.next"))
    key_file.write_bytes(before)

    finish_rotation(key_file, current(log))

    Signer(key_file, rotated.new_key).check()
    assert not key_file.with_name("checkpoint.key.next").exists()


def forged(rotated: KeyRotated, **fields: str) -> KeyRotated:
    return replace(rotated, **fields)  # type: ignore[arg-type]


def test_a_rotation_without_both_signatures_is_refused(log: SqliteLog, key_file: Path) -> None:
    old = current(log)
    rotated = rotated_by(log, key_file)
    thief = Ed25519PrivateKey.generate()
    stolen = verifier_key(origin_line(LOG), thief)
    text = rotation_text(LOG, old, stolen)
    by_thief = base64.b64encode(thief.sign(text)).decode()

    check_rotation(LOG, old, rotated)
    for wrong in (
        forged(rotated, new_key=stolen),
        forged(rotated, new_key=stolen, new_signature=by_thief),
        forged(rotated, new_key=stolen, new_signature=by_thief, old_signature=by_thief),
        forged(rotated, old_signature="!"),
        forged(rotated, old_signature=rotated.new_signature),
        forged(rotated, old_key=stolen),
    ):
        with pytest.raises(ProofError):
            check_rotation(LOG, old, wrong)
    with pytest.raises(ProofError, match="is invalid"):
        check_rotation("f" * 32, old, rotated)  # another log's rotation


def test_keys_in_force_refuses_a_forged_rotation(log: SqliteLog, key_file: Path) -> None:
    old = current(log)
    thief = Ed25519PrivateKey.generate()
    stolen = verifier_key(origin_line(LOG), thief)
    signature = base64.b64encode(thief.sign(rotation_text(LOG, old, stolen))).decode()
    forgery = KeyRotated(
        originator_id=LOG,
        originator_version=2,
        by="system",
        old_key=old,
        new_key=stolen,
        old_signature=signature,
        new_signature=signature,
    )
    appended(log, command(forgery))

    with pytest.raises(CorruptLogError, match="event 2 is no valid rotation"):
        keys_in_force(log, Codec())


@pytest.mark.slow
def test_a_rotation_killed_at_any_line_leaves_a_valid_key(
    log: SqliteLog, key_file: Path, tmp_path: Path
) -> None:
    appended(log, creation(2))
    log.close()

    killed = killed_rotations(tmp_path)

    positions = [position_after_start(folder) for folder in killed]
    assert positions == sorted(positions)
    assert set(positions) == {2, 3}  # some were killed before the event, some after it
    assert len(killed) > 30


def killed_rotations(folder: Path) -> list[Path]:
    """Return copies of a folder, in each of which a rotation was killed one line later."""
    command = [sys.executable, "-m", "tests.ledger.log.killed_rotation", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(line) for line in done.stdout.splitlines()]


def position_after_start(folder: Path) -> int:
    """Return the end of the log after the next start, which has to find a valid key."""
    key_file, log = folder / "checkpoint.key", SqliteLog(folder / "ledger.db", Codec())
    try:
        in_force = current(log)
        finish_rotation(key_file, in_force)
        Signer(key_file, in_force).check()
        position = log.head().position
        rotated = rotated_by(log, key_file)
        Signer(key_file, rotated.new_key).check()
    finally:
        log.close()
    return position
