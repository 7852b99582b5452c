"""Checkpoints and proofs of a running server: when they are signed, stored and refused."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from asset_ledger.ledger.content.places import Place
from asset_ledger.ledger.errors import CorruptLogError, DiskFullError, SigningKeyError
from asset_ledger.ledger.log.codec import MAX_EVENT, Codec
from asset_ledger.ledger.log.event_log import Command, Outcome, Prepare
from asset_ledger.ledger.log.key_rotation import KeyInForce
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.merkle.checkpoint import open_checkpoint
from asset_ledger.ledger.merkle.proof import TreeHead, check_proof, document
from asset_ledger.ledger.merkle.tiles import Tiles
from asset_ledger.ledger.merkle.tree import leaf_of
from asset_ledger.ledger.proofs.live import Proofs, bundled
from tests.builders import asset_id
from tests.contracts.event_log import creation
from tests.ledger.parts import Parts, open_parts

LOG = "f" * 32


class FillingLog(SqliteLog):
    """A log that refuses checkpoints while `checkpoints_fail`, and events while `events_fail`."""

    checkpoints_fail = False
    events_fail = False

    def append(
        self, commands: Sequence[Command], prepare: Prepare, places: Sequence[Place] = ()
    ) -> list[Outcome]:
        if self.events_fail:
            return [DiskFullError("the disk is full; nothing was recorded") for _ in commands]
        return super().append(commands, prepare, places)

    def keep_checkpoint(self, size: int, note: str) -> str:
        if self.checkpoints_fail:
            raise DiskFullError("the disk is full; nothing was recorded")
        return super().keep_checkpoint(size, note)


@dataclass(frozen=True)
class Signing:
    """The parts of a ledger, and the proofs over them."""

    parts: Parts
    log: FillingLog
    proofs: Proofs
    key_file: Path
    key: str

    async def grow(self, number: int) -> None:
        await self.parts.committer.append(creation(number))

    def proofs_with(self, key_file: Path) -> Proofs:
        """Return other proofs over the same parts, with another key file."""
        parts = self.parts
        return Proofs(parts.reader, Codec(), parts.feed, parts.replay, parts.committer, key_file)


@pytest.fixture
async def signing(tmp_path: Path) -> AsyncIterator[Signing]:
    key_file, keys = tmp_path / "log.key", list[str]()

    def opened(path: Path, codec: Codec) -> FillingLog:
        log = FillingLog(path, codec)
        keys.append(open_identity(log, codec, key_file, new_log_id=LOG).public_key)
        return log

    async with open_parts(tmp_path, log=opened, log_id=LOG) as parts:
        assert isinstance(parts.log, FillingLog)
        proofs = Proofs(parts.reader, Codec(), parts.feed, parts.replay, parts.committer, key_file)
        yield Signing(parts, parts.log, proofs, key_file, keys[0])


async def test_checkpoint_is_stored_before_it_is_returned(signing: Signing) -> None:
    await signing.grow(1)

    signed = await signing.proofs.checkpoint()

    assert signing.log.checkpoints(0, 10) == [(2, signed.note)]
    assert open_checkpoint(signed.note, signing.key).root == Tiles(signing.log).root(2)


async def test_checkpoint_is_signed_for_requested_sizes_only(signing: Signing) -> None:
    await signing.proofs.checkpoint()
    for number in (1, 2, 3):
        await signing.grow(number)
    await signing.proofs.checkpoint()

    assert [size for size, _ in signing.log.checkpoints(0, 10)] == [1, 4]


async def test_checkpoint_is_reused_when_it_covers_the_event(signing: Signing) -> None:
    await signing.grow(1)
    earlier = await signing.proofs.checkpoint()
    await signing.grow(2)

    assert await signing.proofs.checkpoint(covering=2) == earlier
    assert (await signing.proofs.checkpoint(covering=3)).size == 3


async def test_receipt_is_none_while_no_checkpoint_can_be_stored(
    signing: Signing, caplog: pytest.LogCaptureFixture
) -> None:
    await signing.grow(1)
    signing.log.checkpoints_fail = True

    assert await signing.proofs.receipt(2) is None
    assert "no receipt for event 2: the disk is full" in caplog.text
    with pytest.raises(DiskFullError):
        await signing.proofs.checkpoint()

    signing.log.checkpoints_fail = False
    receipt = await signing.proofs.receipt(2)
    assert receipt is not None
    assert [event.position for event in receipt[1]] == [2]


async def test_check_key_fails_without_the_key_file(signing: Signing) -> None:
    await signing.proofs.check_key()
    proofs = signing.proofs_with(signing.key_file.with_name("absent.key"))

    with pytest.raises(SigningKeyError):
        await proofs.check_key()


async def test_new_key_signs_after_a_rotation_and_proofs_include_the_rotation(
    signing: Signing,
) -> None:
    await signing.grow(1)
    before = await signing.proofs.checkpoint()
    rotated = await signing.proofs.rotate("alice")
    await signing.grow(2)
    signed = await signing.proofs.checkpoint()
    pieces = await signing.proofs.assets("1", [asset_id(2)], signed)
    events = [event async for piece in pieces for event in piece]

    assert open_checkpoint(before.note, signing.key).size == 2
    assert open_checkpoint(signed.note, rotated.key).size == 4
    assert rotated.since == 3
    assert [key for key, _ in signing.proofs.known_keys()] == [(1, signing.key), rotated]
    assert [event.position for event in signed.rotations] == [3]
    proof = document(signed, events)
    for key in (signing.key, rotated.key):
        assert check_proof(proof, key)[0].size == 4


async def test_old_key_stays_in_force_when_a_rotation_fails(signing: Signing) -> None:
    signing.log.events_fail = True
    with pytest.raises(DiskFullError):
        await signing.proofs.rotate("alice")
    signing.log.events_fail = False

    signed = await signing.proofs.checkpoint()
    assert open_checkpoint(signed.note, signing.key).size == 1
    assert (await signing.proofs.rotate("alice")).since == 2


async def test_old_key_signs_no_checkpoint_of_a_rotated_log(signing: Signing) -> None:
    """Checkpoints are requested before and after the rotation, all at the same time."""
    before = [signing.proofs.checkpoint() for _ in range(4)]
    results = await asyncio.gather(
        *before,
        signing.proofs.rotate("alice"),
        signing.grow(1),
        *(signing.proofs.checkpoint() for _ in range(4)),
    )
    rotated = next(each for each in results if isinstance(each, KeyInForce))

    for signed in (each for each in results if isinstance(each, TreeHead)):
        key = rotated.key if signed.size >= rotated.since else signing.key
        assert open_checkpoint(signed.note, key).size == signed.size


async def test_checkpoint_is_refused_when_another_was_stored_for_its_size(
    signing: Signing,
) -> None:
    signing.log.keep_checkpoint(1, "another note for the same size")

    with pytest.raises(CorruptLogError, match="another checkpoint of 1 events was signed before"):
        await signing.proofs.checkpoint()


def test_bundle_has_room_for_the_largest_event() -> None:
    longest = leaf_of("0" * 32, 2**63, "t" * 100, b"x" * MAX_EVENT)

    assert len(longest) < 2**16
    assert bundled(longest)[:2] == len(longest).to_bytes(2, "big")
    with pytest.raises(OverflowError):
        bundled(b"x" * 2**16)
