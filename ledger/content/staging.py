"""Contents that are being uploaded: in memory while small, hashed into a private file once large.

At most two batches of a content are in memory, whatever its size: one that gathers on the event
loop, and one that a thread hashes and writes. The more contents arrive, the smaller they are.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Protocol

from asset_ledger.ledger.content.batches import LARGEST, Batches
from asset_ledger.ledger.content.store import HEAD, SMALL, Staged
from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.ids import Digest, digest_from_hex, digest_of
from asset_ledger.ledger.storage.descriptors import patiently
from asset_ledger.ledger.storage.files import begin_writeback, storage_errors


class StagedFile(Protocol):
    """The file of a content that is being uploaded. Threads call it."""

    path: Path

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append and hash. Raises DiskFullError or StorageFailedError."""

    def publish(self, target: Path) -> None:
        """Make the bytes durable under the name `target`. Works once. Raises OSError."""

    def discard(self) -> None:
        """Drop what has no name and is not to be continued. Harmless after `publish`."""


class PrivateFile:
    """A content's bytes in a file of its own, hashed as they are written.

    Threads call it, because it blocks. A lock serialises them: a cancelled caller may discard the
    file while a thread still writes, and a descriptor closed under a thread may become another
    file's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / secrets.token_hex(16)
        self._file: FileIO | None = None
        self._sha256 = hashlib.sha256()
        self._lock = Lock()
        self._discarded = False

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append and hash. Raises DiskFullError or StorageFailedError."""
        with self._lock, storage_errors("the content was not stored"):
            file = self._open()
            for chunk in chunks:
                self._sha256.update(chunk)
                write_all(file, chunk)
            begin_writeback(file.fileno(), sum(map(len, chunks)))

    def digest(self) -> Digest:
        """Return the digest of everything written."""
        return digest_from_hex(self._sha256.hexdigest())

    def publish(self, target: Path) -> None:
        """fsync the bytes, then rename the file to `target`. Works once. Raises OSError."""
        with self._lock, self._open() as file:  # closed after a failed fsync: another would hide it
            os.fsync(file.fileno())
            self.path.rename(target)

    def discard(self) -> None:
        """Remove the file, unless it was published. If that fails, the next start removes it."""
        with self._lock, suppress(OSError):
            self._discarded = True
            if self._file is not None:
                with closing(self._file):
                    self.path.unlink(missing_ok=True)

    def _open(self) -> FileIO:
        if self._discarded or (self._file is not None and self._file.closed):
            raise StorageFailedError("the upload failed before; send the content again")
        if self._file is None:
            create = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._file = FileIO(patiently(lambda: os.open(self.path, create, 0o600)), "wb")
        return self._file


def write_all(file: FileIO, chunk: bytes) -> None:
    """Write all of these bytes. Raises OSError."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(file.fileno(), rest) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spilled(Staged):
    """A large content in a file of its own, until it is published."""

    file: StagedFile = field(repr=False, compare=False)


class Batching:
    """Gathers the bytes of a content, and has threads append them to a file in batches."""

    def __init__(self, threads: Executor, batches: Batches) -> None:
        self._threads = threads
        self._batches: Batches | None = batches
        self._gathered: list[bytes] = []
        self._size = 0
        self._spill_above = 0
        self._writing: asyncio.Future[None] | None = None

    def _gather(self, chunk: bytes) -> bool:
        """Take the next bytes. Return whether a batch is full."""
        self._gathered.append(chunk)
        self._size += len(chunk)
        return self._size > self._spill_above

    def _begin(self) -> None:
        """Share the memory of the batches with other contents."""
        if self._batches is not None:
            self._batches.contents += 1

    def _leave(self) -> None:
        """Leave the memory of the batches to other contents."""
        if self._batches is not None:
            self._batches.contents -= 1
            self._batches = None

    async def _spill(self, file: StagedFile) -> None:
        await self._written()
        batch, self._gathered = self._gathered, []
        self._spill_above = self._size + (self._batches.size if self._batches else LARGEST)
        self._writing = self._in_thread(file.write, batch)

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing

    async def _discard(self, file: StagedFile) -> None:
        self._gathered = []
        self._leave()
        ends = [self._in_thread(file.discard)]
        if self._writing is not None:
            ends.append(self._writing)  # else asyncio logs its exception as never retrieved
        # Without the shield, a second cancellation would leave the file behind.
        await asyncio.shield(asyncio.gather(*ends, return_exceptions=True))

    def _in_thread(self, work: Callable[..., None], *arguments: object) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


class SpillingStage(Batching):
    """A `content.store.Stage` that moves large contents to a private file."""

    def __init__(self, folder: Path, threads: Executor, batches: Batches) -> None:
        super().__init__(threads, batches)
        self._folder = folder
        self._spill_above = SMALL
        self._head = b""
        self._file: PrivateFile | None = None

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes. Waits only while the batch before them is being written."""
        if self._gather(chunk):
            await self._spill(self._file or self._make_file())

    async def finish(self) -> Staged:
        """Return the whole content."""
        if self._file is None:
            small = b"".join(self._gathered)
            return Staged(digest_of(small), len(small), small[:HEAD], small)
        await self._spill(self._file)
        await self._written()
        self._leave()
        return Spilled(
            digest=self._file.digest(),
            size=self._size,
            head=self._head,
            path=self._file.path,
            file=self._file,
        )

    async def discard(self) -> None:
        """Drop the bytes and the private file. Harmless after `finish` and `publish`."""
        self._gathered = []
        if self._file is not None:
            await self._discard(self._file)

    def _make_file(self) -> PrivateFile:
        self._head = b"".join(self._gathered)[:HEAD]
        self._file = PrivateFile(self._folder)
        self._begin()
        return self._file
