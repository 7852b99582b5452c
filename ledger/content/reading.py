"""Published contents, opened for reading: from memory or from a file.

Two pieces of a content, of at most 1 MiB, are in memory at a time: one is read ahead.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from io import FileIO
from pathlib import Path
from typing import Final

from asset_ledger.ledger.content.batches import LARGEST, Batches
from asset_ledger.ledger.errors import CorruptLogError, StorageFailedError
from asset_ledger.ledger.storage.files import storage_errors

PIECE: Final = LARGEST
"""Bytes that `chunks` yields at once at most, as `content.store.Content` promises."""


class SmallContent:
    """A small content, in memory."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self.path: Path | None = None
        self._content = content

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, stop)."""
        if piece := self._content[start:stop]:
            yield piece

    async def close(self) -> None:
        """Do nothing: there is no file."""


class FileContent:
    """A content in a file, read by threads. The more of them are open, the smaller the pieces."""

    def __init__(self, path: Path, threads: Executor, batches: Batches) -> None:
        self.path: Path | None = path
        self._file = FileIO(path)
        self._threads, self._batches = threads, batches
        batches.contents += 1
        self.size = os.fstat(self._file.fileno()).st_size

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, stop). Raises StorageFailedError."""
        stop = min(stop, self.size)
        ahead = self._read_ahead(start, stop)
        try:
            while ahead is not None:
                piece = await ahead
                start += len(piece)
                ahead = self._read_ahead(start, stop)
                yield piece
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    def _read_ahead(self, start: int, stop: int) -> asyncio.Future[bytes] | None:
        if start >= stop:
            return None
        length = min(self._batches.size, stop - start)
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._threads, self._read, start, length)

    async def close(self) -> None:
        """Close the file."""
        if not self._file.closed:
            self._batches.contents -= 1
            self._file.close()

    def _read(self, offset: int, length: int) -> bytes:
        with storage_errors("the content was not read"):
            piece = os.pread(self._file.fileno(), length, offset)
        if not piece:
            raise StorageFailedError("the content's file became shorter after it was opened")
        return piece


def pieces_of_file(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a content's file. Raises FileNotFoundError, CorruptLogError if its disk
    cannot read it."""
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CorruptLogError(f"cannot be read: {error.strerror}") from error
