"""What is signed when, what is kept, and what is told when it cannot be."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from asset_ledger.ledger.commit.committer import Writer
from asset_ledger.ledger.content.local import open_local_contents
from asset_ledger.ledger.errors import CorruptLogError, DiskFullError, SigningKeyError
from asset_ledger.ledger.log.codec import MAX_FACT, Codec
from asset_ledger.ledger.log.event_log import Command, Outcome, Prepare
from asset_ledger.ledger.log.key_rotation import KeyInForce
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.merkle.checkpoint import open_checkpoint
from asset_ledger.ledger.merkle.proof import Signed, check_proof, document
from asset_ledger.ledger.merkle.tiles import Tiles
from asset_ledger.ledger.merkle.tree import leaf_of
from asset_ledger.ledger.proofs.live import Proofs, bundled
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.reading.replay import Replay
from tests.builders import asset_id
from tests.contracts.event_log import creation
from tests.ledger.commit.test_committer import Tables

LOG = "f" * 32


class FillingLog(SqliteLog):
    """A log whose disk has no room for checkpoints while `full`, nor for facts while `failing`."""

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
class House:
    log: FillingLog
    writer: Writer
    proofs: Proofs
    key_file: Path
    key: str

    async def grow(self, number: int) -> None:
        await self.writer.append(creation(number))


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    log, codec, key_file = FillingLog(folder / "ledger.db", Codec()), Codec(), folder / "log.key"
    opened = open_identity(log, codec, key_file, new_log_id=LOG)
    contents = await open_local_contents(folder / "content")
    writer = Writer(log, contents, Tables(), Feed(log, codec, LOG), queue_size=8)
    proofs = Proofs(log, codec, Replay(log, codec), writer, key_file)
    try:
        yield House(log, writer, proofs, key_file, opened.public_key)
    finally:
        await writer.close()
        await contents.close()
        log.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


async def test_a_checkpoint_is_durable_before_it_is_seen(house: House) -> None:
    await house.grow(1)

    signed = await house.proofs.checkpoint()

    assert house.log.checkpoints(0, 10) == [(2, signed.note)]
    assert open_checkpoint(signed.note, house.key).root == Tiles(house.log).root(2)


async def test_a_size_that_nobody_asked_for_is_not_signed(house: House) -> None:
    await house.proofs.checkpoint()
    for number in (1, 2, 3):
        await house.grow(number)
    await house.proofs.checkpoint()

    assert [size for size, _ in house.log.checkpoints(0, 10)] == [1, 4]


async def test_a_checkpoint_that_covers_a_fact_is_good_for_its_receipt(house: House) -> None:
    await house.grow(1)
    known = await house.proofs.checkpoint()
    await house.grow(2)

    assert await house.proofs.checkpoint(covering=2) == known
    assert (await house.proofs.checkpoint(covering=3)).size == 3


async def test_a_receipt_that_cannot_be_signed_for_is_none_and_can_be_had_later(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    await house.grow(1)
    house.log.full = True

    assert await house.proofs.receipt(2) is None
    assert "no receipt for fact 2: the disk is full" in caplog.text
    with pytest.raises(DiskFullError):
        await house.proofs.checkpoint()

    house.log.full = False
    receipt = await house.proofs.receipt(2)
    assert receipt is not None
    assert [fact.position for fact in receipt[1]] == [2]


async def test_without_the_key_no_receipt_is_promised(house: House) -> None:
    await house.proofs.check_key()
    gone = house.key_file.with_name("gone.key")
    proofs = Proofs(house.log, Codec(), Replay(house.log, Codec()), house.writer, gone)

    with pytest.raises(SigningKeyError):
        await proofs.check_key()


async def test_from_a_rotation_on_the_new_key_signs_and_proofs_say_how_it_came(
    house: House,
) -> None:
    await house.grow(1)
    before = await house.proofs.checkpoint()
    rotated = await house.proofs.rotate("alice")
    await house.grow(2)
    signed, facts = await house.proofs.asset("1", asset_id(2))

    assert open_checkpoint(before.note, house.key).size == 2
    assert open_checkpoint(signed.note, rotated.key).size == 4
    assert rotated.since == 3
    assert [known for known, _ in house.proofs.known_keys()] == [(1, house.key), rotated]
    assert [fact.position for fact in signed.rotations] == [3]
    proof = document(signed, facts)
    for kept in (house.key, rotated.key):
        assert check_proof(proof, kept)[0].size == 4


async def test_a_rotation_that_fails_leaves_the_old_key_in_force(house: House) -> None:
    house.log.failing = True
    with pytest.raises(DiskFullError):
        await house.proofs.rotate("alice")
    house.log.failing = False

    signed = await house.proofs.checkpoint()
    assert open_checkpoint(signed.note, house.key).size == 1
    assert (await house.proofs.rotate("alice")).since == 2


async def test_no_checkpoint_of_a_rotated_log_bears_the_old_key(house: House) -> None:
    """However many ask for one while the key changes."""
    asking = [house.proofs.checkpoint() for _ in range(4)]
    both = await asyncio.gather(
        *asking,
        house.proofs.rotate("alice"),
        house.grow(1),
        *(house.proofs.checkpoint() for _ in range(4)),
    )
    rotated = next(each for each in both if isinstance(each, KeyInForce))

    for signed in (each for each in both if isinstance(each, Signed)):
        key = rotated.key if signed.size >= rotated.since else house.key
        assert open_checkpoint(signed.note, key).size == signed.size


async def test_a_second_root_for_one_size_is_never_shown(house: House) -> None:
    house.log.keep_checkpoint(1, "another note, which somebody else put here")

    with pytest.raises(CorruptLogError, match="another checkpoint of 1 facts was signed before"):
        await house.proofs.checkpoint()


def test_every_fact_fits_into_a_bundle() -> None:
    longest = leaf_of("0" * 32, 2**63, "t" * 100, b"x" * MAX_FACT)

    assert len(longest) < 2**16
    assert bundled(longest)[:2] == len(longest).to_bytes(2, "big")
    with pytest.raises(OverflowError):
        bundled(b"x" * 2**16)
