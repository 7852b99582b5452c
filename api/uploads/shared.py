"""Resumable uploads in a database and a store: any of its servers continues each of them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from asset_ledger.api.contract.errors import UnknownUploadError, UploadOffsetError
from asset_ledger.api.uploads.resumable import MOST, SWEEP, OpenUpload, Uploads
from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.content.objects import ObjectStaged
from asset_ledger.ledger.content.receiving import Announced
from asset_ledger.ledger.content.store import Stage, Staged
from asset_ledger.ledger.content.unfinished import UploadState
from asset_ledger.ledger.errors import StorageFailedError, TooLargeError, UnavailableError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.service import Ledger

if TYPE_CHECKING:
    from asset_ledger.ledger.content.parts import SharedParts

KIND: Final = "tus"
PART: Final = 7 << 20
"""Bytes of a part at most. It is in memory until it is stored, with one request to the store."""
CLAIMED: Final = 600.0
"""Seconds that a server has to finish a whole upload before another one tries."""


class SharedUpload:
    """An upload as this server has last read it."""

    def __init__(self, state: UploadState) -> None:
        self.state = state


OpenShared = OpenUpload[SharedUpload]


class SharedUploads(Uploads[SharedUpload]):
    """The unfinished uploads of all servers of a database. See `Uploads` for the methods."""

    def __init__(
        self,
        parts: "SharedParts",
        ledger: Ledger,
        lifetime: timedelta,
        *,
        shared: bool,
        clock: Clock = utc_now,
    ) -> None:
        """`shared`: by several users."""
        super().__init__(ledger, lifetime, MOST // 2 if shared else MOST, clock)
        self._parts = parts
        self._open: WeakValueDictionary[AssetId, OpenShared] = WeakValueDictionary()
        self._count = self._size = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """The bytes that unfinished uploads took when they were last counted."""
        return self._size

    async def find(self, user_id: str, upload_id: AssetId) -> OpenShared:
        """Return an unfinished upload of a user. Raises UnknownUploadError."""
        found = await self._known(upload_id)
        if found is None or found.state.user_id != user_id or self._is_expired(found):
            raise UnknownUploadError(upload_id)
        return found

    async def close(self) -> None:
        """Close the connection."""
        await self._parts.close()

    async def _known(self, upload_id: AssetId) -> OpenShared | None:
        state = await self._parts.find(KIND, upload_id)
        return self._opened(state) if state is not None else None

    def _opened(self, state: UploadState) -> OpenShared:
        upload = self._open.get(state.id)
        if upload is None:
            upload = self._open[state.id] = OpenUpload(SharedUpload(state))
        elif not upload.lock.locked():
            upload.stored.state = state
        return upload

    async def _is_known(self, upload: OpenShared) -> bool:
        state = await self._parts.find(KIND, upload.state.id)
        known = upload.state
        upload.stored.state = state or replace(known, offset=known.size)  # or it was removed
        return state is not None

    async def _all_known(self) -> Iterable[OpenShared]:
        self._count, _, self._size = await self._parts.count(KIND)
        return [self._opened(state) for state in await self._parts.all(KIND)]

    async def _is_left(self, upload: OpenShared) -> bool:
        now = self._clock().timestamp()
        is_old = now - upload.state.changed_at > SWEEP  # else its last request records it
        return is_old and await self._parts.claim(upload.state.id, now, now - CLAIMED)

    async def _check_room(self, user_id: str, size: int) -> None:
        uploads, own, _ = await self._parts.count(KIND, user_id)
        self._check_number(uploads, own)

    async def _begin(self, state: UploadState) -> OpenShared:
        await self._parts.begin(KIND, state)
        found = await self._known(state.id)
        if found is None:
            raise StorageFailedError("the upload was removed at once: create it again")
        return found

    async def _receive(
        self, upload: OpenShared, chunks: AsyncIterator[bytes], checksum: Announced | None
    ) -> None:
        keep = checksum is None
        receiving = _Receiving(self._parts, upload.stored, self._clock, at_once=not keep)
        try:
            async for chunk in chunks:
                if checksum is not None:
                    checksum.update(chunk)
                await receiving.write(chunk)
            if checksum is not None:
                checksum.check()
            keep = True
        except (TooLargeError, UnavailableError, UploadOffsetError):
            keep = False
            raise
        finally:
            await asyncio.shield(receiving.end(keep=keep))

    @asynccontextmanager
    async def _whole(self, upload: OpenShared) -> AsyncIterator[Staged]:
        stage = self._ledger.contents.stage()
        try:
            for part in await self._parts.parts(upload.state.id):
                async for piece in self._parts.read(part):
                    await stage.write(piece)
            staged = await stage.finish()
            if staged.size != upload.state.size:
                raise StorageFailedError("bytes of this upload were lost: delete it, start again")
            yield staged
        finally:
            await stage.discard()

    async def _remove_expired(self, upload: OpenShared) -> bool:
        return await self._parts.remove(upload.state.id, upload.state.changed_at)

    async def _remove(self, upload: OpenShared) -> None:
        self._open.pop(upload.state.id, None)
        await self._parts.remove(upload.state.id)


class _Receiving:
    """Stores the bytes of one request as parts. `at_once`: all of them at the end, or none."""

    def __init__(
        self, parts: "SharedParts", stored: SharedUpload, clock: Clock, *, at_once: bool
    ) -> None:
        self._parts, self._stored, self._clock, self._at_once = parts, stored, clock, at_once
        self._left = stored.state.size - stored.state.offset
        self._stage: Stage | None = None
        self._staged: list[Staged] = []
        self._gathered = 0

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises TooLargeError, UploadOffsetError, StorageFailedError."""
        self._left -= len(chunk)
        if self._left < 0:
            size = self._stored.state.size
            raise TooLargeError(f"more bytes arrived than the {size:,} that were declared")
        if self._stage is None:
            self._stage = self._parts.stage()
        await self._stage.write(chunk)
        self._gathered += len(chunk)
        if self._gathered >= PART:
            await self._end_part()

    async def _end_part(self) -> None:
        if self._stage is not None:
            self._staged.append(await self._stage.finish())
            self._stage, self._gathered = None, 0
        if not self._at_once:
            await self._store()
        elif self._staged:
            await self._parts.publish(self._staged[-1])  # else it is in memory until the end

    async def _store(self) -> None:
        if not self._staged:
            return
        now = self._clock().timestamp()
        state = await self._parts.append(self._stored.state, self._staged, now)
        if state is None:  # another server has received bytes, or has finished the upload
            found = await self._parts.find(KIND, self._stored.state.id)
            raise UploadOffsetError(found.offset if found else self._stored.state.size)
        self._stored.state, self._staged = state, []

    async def end(self, *, keep: bool) -> None:
        """Store what has arrived, or drop it."""
        try:
            if keep:
                await self._end_part()
                await self._store()
        finally:
            if self._stage is not None:
                await self._stage.discard()
            for staged in self._staged:
                if isinstance(staged, ObjectStaged):
                    await staged.stage.discard()
            if not keep:
                await self._parts.drop(self._staged)
