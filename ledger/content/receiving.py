"""Receive the bytes of one request for an upload that arrives in several."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from asset_ledger.ledger.content.batches import Batches
from asset_ledger.ledger.content.staging import Batching
from asset_ledger.ledger.content.unfinished import UnfinishedUpload
from asset_ledger.ledger.errors import StorageFailedError, TooLargeError

CHECKPOINT: Final = 64 << 20
"""Bytes after which what has arrived is made durable, during a request."""


class Announced(Protocol):
    """The checksum that a request announced."""

    def update(self, chunk: bytes) -> None:
        """Hash the next bytes."""

    def check(self) -> None:
        """Raise RefusedError if other bytes arrived than were announced."""


class ReceivingStage(Batching):
    """Appends the bytes of one request to an upload. What has arrived is kept if it breaks off."""

    def __init__(
        self,
        upload: UnfinishedUpload,
        threads: Executor,
        batches: Batches,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(threads, batches)
        self._upload, self._clock = upload, clock
        self._begin()

    async def receive(self, chunks: AsyncIterator[bytes], checksum: Announced | None) -> None:
        """Store the bytes durably. With a checksum, all of them or none.

        Raises TooLargeError above the size of the upload, StorageFailedError: then what is not
        durable is dropped.
        """
        keep = checksum is None
        try:
            await self._write(chunks, checksum)
            keep = True
        except (TooLargeError, StorageFailedError):
            keep = False
            raise
        finally:
            await asyncio.shield(self._end(keep=keep))

    async def _write(self, chunks: AsyncIterator[bytes], checksum: Announced | None) -> None:
        size = self._upload.state.size
        left, unsaved = size - self._upload.state.offset, 0
        async for chunk in chunks:
            left, unsaved = left - len(chunk), unsaved + len(chunk)
            if left < 0:
                raise TooLargeError(f"more bytes arrived than the {size:,} that were declared")
            if checksum is not None:
                checksum.update(chunk)
            if self._gather(chunk):
                await self._spill(self._upload)
            if unsaved >= CHECKPOINT and left and checksum is None:
                await self._save()
                unsaved = 0
        if checksum is not None:
            checksum.check()

    async def _save(self) -> None:
        """Make what has arrived durable. Raises DiskFullError or StorageFailedError."""
        if self._gathered:
            await self._spill(self._upload)
        await self._written()
        await self._in_thread(partial(self._upload.sync, self._clock()))

    async def _end(self, *, keep: bool) -> None:
        try:
            if keep:
                await self._save()
            elif self._writing is not None:
                await asyncio.wait([self._writing])  # else it would open the file again
        finally:
            await self._discard(self._upload)
