"""Proofs of a running server: checkpoints, inclusion and consistency proofs, and tiles.

A checkpoint is signed on request, once for a size of the log, and stored. It is durable before it
leaves the server, so that the log never signs two roots for one size.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from eventsourcing.persistence import Notification

from asset_ledger.ledger.commit.committer import Committer
from asset_ledger.ledger.errors import (
    CorruptLogError,
    ParameterError,
    UnavailableError,
    UnknownJobError,
)
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Command, LogReader, Tag
from asset_ledger.ledger.log.job_events import read_job
from asset_ledger.ledger.log.key_rotation import (
    KeyInForce,
    keys_in_force,
    rotation,
    rotations,
    signer_in_force,
)
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.merkle.checkpoint import Checkpoint, sign_checkpoint
from asset_ledger.ledger.merkle.proof import ProvenEvent, TreeHead
from asset_ledger.ledger.merkle.tiles import Tile, Tiles, check_tile
from asset_ledger.ledger.merkle.tree import leaf_of
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.feed import LiveFeed

logger = logging.getLogger(__name__)


class Proofs:
    """Makes proofs, on the event loop that it was made on. `origin` names the log in them."""

    def __init__(
        self,
        log: LogReader,
        codec: Codec,
        feed: LiveFeed,
        replay: AsyncReplay,
        committer: Committer,
        key_file: Path,
    ) -> None:
        """Use the key in force. Finish a key rotation that a kill interrupted."""
        self._log, self._codec, self._feed = log, codec, feed
        self._replay, self._committer = replay, committer
        self._signer = signer_in_force(log, codec, key_file)
        opened = read_identity(log, codec)
        self._log_id, self.origin = opened.log_id, opened.origin
        self._tiles = Tiles(log)
        self._signing = asyncio.Lock()
        self._latest: TreeHead | None = None

    async def check_key(self) -> None:
        """Raise SigningKeyError unless checkpoints can be signed."""
        await asyncio.to_thread(self._signer.check)

    async def checkpoint(self, covering: int | None = None) -> TreeHead:
        """Return a checkpoint of the log as it is now, or any that covers a position.

        Raises SigningKeyError and StorageFailedError.
        """
        size = self._feed.head() if covering is None else covering
        async with self._signing:
            if self._latest is None or self._latest.size < size:
                self._latest = await self._sign(self._feed.head())
            return self._latest

    async def signed(self, size: int) -> TreeHead:
        """Return the checkpoint of this size that was signed before. Raises ParameterError."""
        return await asyncio.to_thread(self._signed, size)

    def _signed(self, size: int) -> TreeHead:
        for stored, note in self._log.checkpoints(size - 1, 1):
            if stored == size:
                known = keys_in_force(self._log, self._codec)
                key = [each.key for each in known if each.since <= size][-1]
                changes = partial(rotations, self._log, self._log_id, upto=size)
                return TreeHead(size, note, key, self._prove(changes, size))
        problem = "must be the size of a checkpoint that was signed"
        raise ParameterError(f"size {problem}", errors=[("size", problem)])

    async def _sign(self, size: int) -> TreeHead:
        root = await asyncio.to_thread(self._tiles.root, size)
        checkpoint = Checkpoint(self.origin, size, root)
        note = await asyncio.to_thread(sign_checkpoint, checkpoint, self._signer)
        kept = await self._committer.keep_checkpoint(size, note)
        if kept != note:  # Ed25519 is deterministic: the same key and root give the same note
            raise CorruptLogError(f"another checkpoint of {size:,} events was signed before")
        changes = partial(rotations, self._log, self._log_id, upto=size)
        return TreeHead(size, kept, self._signer.key, await self._proven(changes, size))

    def known_keys(self) -> list[tuple[KeyInForce, bytes]]:
        """Return each key of this log with the leaf of the event that names it. Blocks."""
        known = keys_in_force(self._log, self._codec)
        return [(key, _leaf(self._log.read(key.since - 1, 1)[0])) for key in known]

    async def rotate(self, by: str) -> KeyInForce:
        """Sign with a new key from now on, and return it. No checkpoint is signed meanwhile.

        Raises SigningKeyError without the key in force, and what the committer raises.
        """
        async with self._signing:
            event = await asyncio.to_thread(rotation, self._log, self._codec, self._signer, by=by)
            try:
                committed = await self._committer.append(Command([event]))
            finally:
                await self._load_signer()  # after an error, the log has the outcome
        return KeyInForce(committed.appended.last, event.new_key)

    async def refresh(self) -> None:
        """Use the key in force, which another server may have rotated."""
        async with self._signing:
            await self._load_signer()

    async def _load_signer(self) -> None:
        file = self._signer.file
        self._signer = await asyncio.to_thread(signer_in_force, self._log, self._codec, file)

    async def consistency(self, first: int, second: int) -> list[bytes]:
        """Prove that the log of size `second` extends that of `first`. Raises ParameterError."""
        head = self._feed.head()
        if not first <= second <= head:
            raise ParameterError(
                f"first must be at most second, and second at most {head}, the end of the log",
                errors=[("second", f"must be between first and {head}")],
            )
        return await asyncio.to_thread(self._tiles.consistency_path, first, second)

    async def assets(
        self, user_id: str, asset_ids: Sequence[AssetId], signed: TreeHead
    ) -> AsyncIterator[list[ProvenEvent]]:
        """Return the proofs of every event of each asset, live or deleted, up to a checkpoint.

        An asset that was recorded later has none. Raises UnknownAssetError before the first.
        """
        await self._replay(lambda replay: [replay.asset(user_id, each) for each in asset_ids])

        async def pieces() -> AsyncIterator[list[ProvenEvent]]:
            for asset_id in asset_ids:
                events = partial(self._log.stream, asset_id, upto=signed.size)
                yield await self._proven(events, signed.size)

        return pieces()

    async def job(
        self,
        user_id: str,
        job_id: str,
        signed: TreeHead,
        after: int,
        limit: int,
        *,
        attempt: int | None = None,
    ) -> list[ProvenEvent]:
        """Prove at most `limit` events of a job after a position, up to the checkpoint's size.

        With an `attempt`, only its events. Raises UnknownJobError if no event of this user names
        the job, or this attempt.
        """
        job, upto = Tag(user_id, "job", job_id), signed.size
        read = partial(read_job, self._log, job, after, limit, attempt=attempt, upto=upto)
        events = await self._proven(read, upto)
        if not events and not after:
            raise UnknownJobError(job_id, attempt)
        return events

    async def receipt(self, position: int) -> tuple[TreeHead, list[ProvenEvent]] | None:
        """Prove one event. Return None if no checkpoint can be signed: the event is recorded."""
        try:
            signed = await self.checkpoint(covering=position)
        except UnavailableError as error:
            logger.warning("no receipt for event %d: %s", position, error)
            return None
        read = partial(self._log.read, position - 1, 1)
        return signed, await self._proven(read, signed.size)

    async def _proven(
        self, read: Callable[[], Iterable[Notification]], size: int
    ) -> list[ProvenEvent]:
        """Prove the events that `read` returns. Both run in a thread."""
        return await asyncio.to_thread(self._prove, read, size)

    def _prove(self, read: Callable[[], Iterable[Notification]], size: int) -> list[ProvenEvent]:
        path = self._tiles.inclusion_path
        return [ProvenEvent(e.id, _leaf(e), path(e.id - 1, size)) for e in read()]

    async def tile(self, tile: Tile) -> bytes:
        """Return the hashes of a tile. Raises UnknownTileError."""
        check_tile(tile, self._feed.head())
        return await asyncio.to_thread(self._tiles.hashes, tile)

    async def entries(self, index: int, width: int) -> bytes:
        """Return the bundle of leaves under a tile of level 0. Raises UnknownTileError."""
        tile = Tile(0, index, width)
        check_tile(tile, self._feed.head())
        return await asyncio.to_thread(self._entries, tile)

    def _entries(self, tile: Tile) -> bytes:
        stored = self._log.read(tile.first, tile.width)
        return b"".join(bundled(_leaf(event)) for event in stored)


def bundled(leaf: bytes) -> bytes:
    """Return a bundle entry, a 2-byte length and the leaf (C2SP tlog-tiles). No leaf is longer."""
    return len(leaf).to_bytes(2, "big") + leaf


def _leaf(stored: Notification) -> bytes:
    version = stored.originator_version
    return leaf_of(str(stored.originator_id), version, stored.topic, stored.state)
