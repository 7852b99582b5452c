"""What is signed when, what is kept, and what is told when it cannot be."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

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
    """A log whose disk has no room for checkpoints while `full`, nor for events while `failing`."""

    full = False
    failing = False

    def append(self, commands: Sequence[Command], prepare: Prepare) -> list[Outcome]:
        if self.failing:
            return [DiskFullError("the disk is full; nothing was recorded") for _ in commands]
        return super().append(commands, prepare)

    def keep_checkpoint(self, size: int, note: str) -> str:
        if self.full:
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
        """Other proofs over the same parts."""
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


async def test_a_checkpoint_is_durable_before_it_is_seen(signing: Signing) -> None:
    await signing.grow(1)

    signed = await signing.proofs.checkpoint()

    assert signing.log.checkpoints(0, 10) == [(2, signed.note)]
    assert open_checkpoint(signed.note, signing.key).root == Tiles(signing.log).root(2)


async def test_a_size_that_nobody_asked_for_is_not_signed(signing: Signing) -> None:
    await signing.proofs.checkpoint()
    for number in (1, 2, 3):
        await signing.grow(number)
    await signing.proofs.checkpoint()

    assert [size for size, _ in signing.log.checkpoints(0, 10)] == [1, 4]


async def test_a_checkpoint_that_covers_an_event_is_good_for_its_receipt(signing: Signing) -> None:
    await signing.grow(1)
    known = await signing.proofs.checkpoint()
    await signing.grow(2)

    assert await signing.proofs.checkpoint(covering=2) == known
    assert (await signing.proofs.checkpoint(covering=3)).size == 3


async def test_a_receipt_that_cannot_be_signed_for_is_none_and_can_be_had_later(
    signing: Signing, caplog: pytest.LogCaptureFixture
) -> None:
    await signing.grow(1)
    signing.log.full = True

    assert await signing.proofs.receipt(2) is None
    assert "no receipt for event 2: the disk is full" in caplog.text
    with pytest.raises(DiskFullError):
        await signing.proofs.checkpoint()

    signing.log.full = False
    receipt = await signing.proofs.receipt(2)
    assert receipt is not None
    assert [event.position for event in receipt[1]] == [2]


async def test_without_the_key_no_receipt_is_promised(signing: Signing) -> None:
    await signing.proofs.check_key()
    gone = signing.key_file.with_name("gone.key")
    proofs = signing.proofs_with(gone)

    with pytest.raises(SigningKeyError):
        await proofs.check_key()


async def test_from_a_rotation_on_the_new_key_signs_and_proofs_say_how_it_came(
    signing: Signing,
) -> None:
    await signing.grow(1)
    before = await signing.proofs.checkpoint()
    rotated = await signing.proofs.rotate("alice")
    await signing.grow(2)
    signed, events = await signing.proofs.asset("1", asset_id(2))

    assert open_checkpoint(before.note, signing.key).size == 2
    assert open_checkpoint(signed.note, rotated.key).size == 4
    assert rotated.since == 3
    assert [known for known, _ in signing.proofs.known_keys()] == [(1, signing.key), rotated]
    assert [event.position for event in signed.rotations] == [3]
    proof = document(signed, events)
    for kept in (signing.key, rotated.key):
        assert check_proof(proof, kept)[0].size == 4


async def test_a_rotation_that_fails_leaves_the_old_key_in_force(signing: Signing) -> None:
    signing.log.failing = True
    with pytest.raises(DiskFullError):
        await signing.proofs.rotate("alice")
    signing.log.failing = False

    signed = await signing.proofs.checkpoint()
    assert open_checkpoint(signed.note, signing.key).size == 1
    assert (await signing.proofs.rotate("alice")).since == 2


async def test_no_checkpoint_of_a_rotated_log_bears_the_old_key(signing: Signing) -> None:
    """However many ask for one while the key changes."""
    asking = [signing.proofs.checkpoint() for _ in range(4)]
    both = await asyncio.gather(
        *asking,
        signing.proofs.rotate("alice"),
        signing.grow(1),
        *(signing.proofs.checkpoint() for _ in range(4)),
    )
    rotated = next(each for each in both if isinstance(each, KeyInForce))

    for signed in (each for each in both if isinstance(each, TreeHead)):
        key = rotated.key if signed.size >= rotated.since else signing.key
        assert open_checkpoint(signed.note, key).size == signed.size


async def test_a_second_root_for_one_size_is_never_shown(signing: Signing) -> None:
    signing.log.keep_checkpoint(1, "another note, which somebody else put here")

    with pytest.raises(CorruptLogError, match="another checkpoint of 1 events was signed before"):
        await signing.proofs.checkpoint()


def test_every_event_fits_into_a_bundle() -> None:
    longest = leaf_of("0" * 32, 2**63, "t" * 100, b"x" * MAX_EVENT)

    assert len(longest) < 2**16
    assert bundled(longest)[:2] == len(longest).to_bytes(2, "big")
    with pytest.raises(OverflowError):
        bundled(b"x" * 2**16)
