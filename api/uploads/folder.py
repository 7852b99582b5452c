"""Resumable uploads in a data folder, for the one server that has it."""

import asyncio
import logging
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from asset_ledger.api.contract.errors import UnknownUploadError
from asset_ledger.api.uploads.resumable import MOST, OpenUpload, Uploads
from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.content.batches import Batches
from asset_ledger.ledger.content.receiving import Announced, ReceivingStage
from asset_ledger.ledger.content.store import HEAD, SMALL, Staged
from asset_ledger.ledger.content.unfinished import (
    UnfinishedUpload,
    UnreadableUpload,
    UploadState,
    find_unfinished,
)
from asset_ledger.ledger.errors import (
    ContentCollectedError,
    ContentDamagedError,
    DiskFullError,
    StorageFailedError,
)
from asset_ledger.ledger.ids import AssetId, Digest, digest_of
from asset_ledger.ledger.service import Ledger

T = TypeVar("T")
OpenFile = OpenUpload[UnfinishedUpload]

THREADS: Final = 4

logger = logging.getLogger(__name__)


class FolderUploads(Uploads[UnfinishedUpload]):
    """The unfinished uploads of a data folder. See `Uploads` for the methods."""

    def __init__(
        self, folder: Path, ledger: Ledger, lifetime: timedelta, per_user: int, clock: Clock
    ) -> None:
        super().__init__(ledger, lifetime, per_user, clock)
        self._folder = folder
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="uploads")
        self._batches = Batches(2)
        self._all: dict[AssetId, OpenFile] = {}
        self._kept: dict[AssetId, ExitStack] = {}
        self._unreadable: list[UnreadableUpload] = []
        self._of_user = Counter[str]()

    @classmethod
    async def open(
        cls,
        folder: Path,
        ledger: Ledger,
        lifetime: timedelta,
        *,
        shared: bool,
        clock: Clock = utc_now,
    ) -> Self:
        """Find the uploads that were not finished. `shared`: by several users."""
        uploads = cls(folder, ledger, lifetime, MOST // 2 if shared else MOST, clock)
        for stored in await asyncio.to_thread(lambda: [*find_unfinished(folder)]):
            if isinstance(stored, UnreadableUpload):
                uploads._unreadable.append(stored)
                continue
            upload = uploads._add(OpenUpload(stored))
            if stored.state.digest is not None:
                uploads._keep(upload, stored.state.digest)
        return uploads

    def __len__(self) -> int:
        return len(self._all)

    @property
    def size(self) -> int:
        """The bytes that unfinished uploads take."""
        return sum(each.state.offset for each in self._all.values())

    async def find(self, user_id: str, upload_id: AssetId) -> OpenFile:
        """Return an unfinished upload of a user. Raises UnknownUploadError."""
        found = self._all.get(upload_id)
        if found is None or found.state.user_id != user_id or self._is_expired(found):
            raise UnknownUploadError(upload_id)
        return found

    async def close(self) -> None:
        """Wait for the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _known(self, upload_id: AssetId) -> OpenFile | None:
        return self._all.get(upload_id)

    async def _is_known(self, upload: OpenFile) -> bool:
        return self._all.get(upload.state.id) is upload

    async def _all_known(self) -> Iterable[OpenFile]:
        return [*self._all.values()]

    async def _remove_unreadable(self) -> None:
        limit = (self._clock() - self._lifetime).timestamp()
        for each in [*self._unreadable]:
            try:
                is_gone = await self._in_thread(partial(each.remove_if_older, limit))
            except OSError:
                logger.exception("the files of an upload that cannot be read were not removed")
            else:
                self.expired += is_gone
                if is_gone:
                    self._unreadable.remove(each)

    async def _is_left(self, upload: OpenFile) -> bool:
        return True

    async def _begin(self, state: UploadState) -> OpenFile:
        upload = self._add(OpenUpload(UnfinishedUpload(self._folder, state)))
        async with upload.lock:
            try:
                await self._in_thread(upload.stored.save)
            except BaseException:
                self._drop(upload)
                raise
        return upload

    async def _receive(
        self, upload: OpenFile, chunks: AsyncIterator[bytes], checksum: Announced | None
    ) -> None:
        stage = ReceivingStage(upload.stored, self._threads, self._batches, self._clock)
        await stage.receive(chunks, checksum)

    @asynccontextmanager
    async def _whole(self, upload: OpenFile) -> AsyncIterator[Staged]:
        yield await self._staged(upload)

    async def _staged(self, upload: OpenFile) -> Staged:
        staged = await self._in_thread(upload.stored.complete)
        if staged is not None:
            self._keep(upload, staged.digest)
            return staged
        digest, size = upload.state.digest or digest_of(b""), upload.state.size
        small = size <= SMALL  # its file may be gone, and its declaration back, after a power cut
        try:  # published before a kill, or before its event was refused
            content = await self._ledger.open_content(digest, size)
        except (ContentCollectedError, ContentDamagedError) as error:
            self._ledger.contents.forget(digest)
            await self._remove(upload)
            raise UnknownUploadError(upload.state.id) from error
        try:
            stop = size if small else HEAD
            head = b"".join([piece async for piece in content.chunks(0, stop)])
        finally:
            await content.close()
        return upload.stored.staged(head, small=small)

    async def _check_room(self, user_id: str, size: int) -> None:
        self._check_number(len(self._all), self._of_user[user_id])
        free = shutil.disk_usage(self._folder).free
        if free < size:
            raise DiskFullError(f"the disk has {free:,} free bytes; the upload has {size:,}")

    def _add(self, upload: OpenFile) -> OpenFile:
        self._all[upload.state.id] = upload
        self._of_user[upload.state.user_id] += 1
        return upload

    def _keep(self, upload: OpenFile, digest: Digest) -> None:
        """Keep the content from being collected: once it is published, there is no other copy."""
        if upload.state.id not in self._kept:
            kept = self._kept[upload.state.id] = ExitStack()
            content = Staged(digest, upload.state.size, b"")
            kept.enter_context(self._ledger.contents.using([content]))

    def _drop(self, upload: OpenFile) -> None:
        self._kept.pop(upload.state.id, ExitStack()).close()
        if self._all.pop(upload.state.id, None) is not None:
            self._of_user[upload.state.user_id] -= 1
            self._of_user += Counter()  # drops the users without uploads

    async def _remove(self, upload: OpenFile) -> None:
        """Remove an upload. If its files stay, the next start finishes or expires it again."""
        self._drop(upload)
        try:
            await self._in_thread(upload.stored.remove)
        except StorageFailedError:
            logger.exception("the files of the upload %s were not removed", upload.state.id)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
