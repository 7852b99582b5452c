"""Contents in a local folder: small ones packed, large ones in files of their own.

    packs/00000001.pack    contents up to 64 KiB: one fsync makes a whole group of them durable
    objects/ab/cd/<hex>    larger contents, named by their SHA-256
    tmp/                   uploads that have not ended; emptied at every start

A file in `objects/` was written and synced before it got its name, and only gc removes it.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from asset_ledger.ledger.content.batches import Batches
from asset_ledger.ledger.content.packed import PackedContents, SmallContents
from asset_ledger.ledger.content.reading import FileContent, SmallContent
from asset_ledger.ledger.content.staging import Spilled, SpillingStage
from asset_ledger.ledger.content.store import Content, Stage, Staged
from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.ids import Digest, digest_from_hex
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.descriptors import is_shortage, patiently
from asset_ledger.ledger.storage.files import make_folder, storage_errors, sync_folder

THREADS: Final = 4
"""Enough to hash on every core of a small machine while other threads wait for the disk."""


async def open_local_contents(folder: Path, small: SmallContents | None = None) -> "LocalContents":
    """Open the contents in this folder, which is made if absent; `small`: see `LocalContents`.

    Removes what interrupted uploads left in `tmp/`, so the caller must hold the folder's lock.
    """
    files = ContentFolder(folder)
    await asyncio.to_thread(_prepare, files)
    return LocalContents(files, small)


def _prepare(files: ContentFolder) -> None:
    for folder in (files.root, files.objects, files.arriving):
        make_folder(folder)
    for leftover in files.arriving.iterdir():
        if not leftover.is_dir():  # of another program
            leftover.unlink()


class LocalContents:
    """A ContentStore in a local folder. It only reads small contents: group commits write them."""

    def __init__(self, files: ContentFolder, small: SmallContents | None = None) -> None:
        """`small` reads small contents, by default from packs."""
        self._files = files
        self._small = small or PackedContents(files)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="contents")
        self.failure: StorageFailedError | None = None
        self._arriving, self._read_pieces = Batches(2), Batches(3)

    def stage(self) -> Stage:
        """Begin to receive a content."""
        return SpillingStage(self._files.arriving, self._threads, self._arriving)

    def local_stage(self) -> Stage:
        """Begin to receive bytes that stay in this folder."""
        return self.stage()

    @asynccontextmanager
    async def taking(self, staged: Staged) -> AsyncIterator[Staged]:
        """Lend a content whose file is in this folder."""
        yield staged

    async def publish(self, staged: Staged) -> None:
        """Make a large content durable under its digest. Raises StorageFailedError."""
        if isinstance(staged, Spilled):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._publish, staged)

    async def open(self, digest: Digest) -> Content | None:
        """Open the content with this digest; None if it is absent. Raises StorageFailedError."""
        with storage_errors("the content was not opened"):
            content = await self._small.find(digest, self._threads)
            if content is not None:
                return SmallContent(content)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._open_object, digest)

    async def collected(self, digest: Digest) -> str | None:
        """Return when a content was collected; None if it was not. Raises StorageFailedError."""
        with storage_errors("the content was not found"):
            return await self._small.collected(digest)

    async def removal(self, digests: Sequence[Digest]) -> Callable[[], Awaitable[None]]:
        """Return what removes the files of large contents. It raises StorageFailedError."""

        async def remove() -> None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._remove, digests)

        return remove

    async def sweep(self) -> int:
        """Return 0: every file has its name, or is removed by the next start."""
        return 0

    def forget_packs(self) -> None:
        """Close the packs: a removed one that is open keeps its space."""
        self._small.forget()

    def _remove(self, digests: Sequence[Digest]) -> None:
        with storage_errors("the content was not removed"):
            for digest in digests:
                self._files.object(digest).unlink(missing_ok=True)
            for folder in {self._files.object(digest).parent for digest in digests}:
                if folder.is_dir():
                    sync_folder(folder)

    async def close(self) -> None:
        """Wait for the threads, then close every connection."""
        await asyncio.to_thread(self._threads.shutdown)
        await self._small.close()

    def _open_object(self, digest: Digest) -> FileContent | None:
        path, pieces = self._files.object(digest), self._read_pieces
        try:
            return patiently(lambda: FileContent(path, self._threads, pieces))
        except FileNotFoundError:
            return None

    def _publish(self, spilled: Spilled) -> None:
        target = self._files.object(spilled.digest)
        with storage_errors("the content was not published"):
            own, *above = target.parents[:3]
            is_new = not own.is_dir()
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_new:  # a file that is moved into a folder without a durable name is lost with it
                self._sync(above)
            if _has(target, spilled):
                spilled.file.discard()
            else:
                spilled.file.publish(target)
            self._sync([own] if is_new else [own, *above])

    def _sync(self, folders: Sequence[Path]) -> None:
        """Make the names in folders durable, also existing ones: their writers may not have synced
        them yet."""
        if self.failure is not None:
            raise self.failure
        try:
            for folder in folders:
                sync_folder(folder)
        except OSError as error:
            if not is_shortage(error):  # then there was no fsync; a second one hides a failed one
                self.failure = StorageFailedError(
                    "the disk failed to sync a folder; large uploads are refused until a restart"
                )
            raise


def _has(target: Path, spilled: Spilled) -> bool:
    """Return whether a file has the bytes that were uploaded. A damaged one is replaced."""
    try:
        with target.open("rb") as file:
            if os.fstat(file.fileno()).st_size != spilled.size:
                return False
            hashed = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # absent, or the disk cannot read it any more
        return False
    return digest_from_hex(hashed) == spilled.digest
