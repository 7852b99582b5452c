"""Content to upload: bytes, a file, a path, or an async iterator of bytes.

Promise: a content can be read again from its start, so that a retry can send it again, and is never
held whole in memory. A source that cannot be rewound is copied to a temporary file first.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final, TypeVar

from asset_ledger.ledger.ids import Digest, digest_from_hex

T = TypeVar("T")

Source = bytes | bytearray | memoryview | os.PathLike[str] | IO[bytes] | AsyncIterable[bytes]
"""What `create_asset` takes as content. A file is read from its current offset to its end."""

SMALL: Final = 65_536
"""Bytes. Contents of at most this size are sent in one piece."""

PIECE: Final = 256 * 1024
"""Bytes of one piece of a larger content."""

IN_MEMORY: Final = 1 << 20
"""Bytes. A larger copy of a source is kept in a temporary file, a smaller one in memory."""


class UploadContent:
    """The `size` bytes of a file from its current offset to its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._start = file.tell()
        self.size = file.seek(0, os.SEEK_END) - self._start

    async def small(self) -> bytes | None:
        """Return the whole content if it is short enough for one piece, else None.

        Raises ValueError if the file became shorter.
        """
        if self.size > SMALL:
            return None
        return b"".join([piece async for piece in self.chunks()])

    async def digest(self) -> Digest:
        """Return the digest of the content. Raises ValueError if the file became shorter."""
        hashed = hashlib.sha256()
        async for piece in self.chunks():
            hashed.update(piece)
        return digest_from_hex(hashed.hexdigest())

    async def chunks(self, offset: int = 0) -> AsyncIterator[bytes]:
        """Yield the content from an offset. Raises ValueError if the file became shorter."""
        left = self.size - offset
        await self._do(self._file.seek, self._start + offset)
        while left:
            piece = await self._do(self._file.read, min(PIECE, left))
            if not piece:
                raise ValueError("the file became shorter while it was sent: send it again")
            left -= len(piece)
            yield piece

    async def _do(self, work: Callable[..., T], *arguments: Any) -> T:
        if isinstance(self._file, BytesIO):
            return work(*arguments)
        return await asyncio.to_thread(work, *arguments)


@asynccontextmanager
async def opened(source: Source) -> AsyncIterator[UploadContent]:
    """Open a source as content. A file that was opened for it is closed at the end.

    Raises OSError for a path that cannot be read, TypeError for another type.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield UploadContent(BytesIO(source))
    elif isinstance(source, os.PathLike):
        with await asyncio.to_thread(Path(source).open, "rb") as file:
            yield UploadContent(file)
    elif not isinstance(source, AsyncIterable) and _rewinds(source):
        yield UploadContent(source)
    else:
        with SpooledTemporaryFile(IN_MEMORY) as spool:
            async for piece in _pieces(source):
                await asyncio.to_thread(spool.write, piece)
            spool.seek(0)
            yield UploadContent(spool)


async def _pieces(source: IO[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(source, AsyncIterable):
        async for piece in source:
            yield piece
        return
    while piece := await asyncio.to_thread(source.read, PIECE):
        yield piece


def _rewinds(source: object) -> bool:
    """Return whether this file can be read again. Raises TypeError unless it is a binary file."""
    if not hasattr(source, "read"):
        raise TypeError(
            "content must be bytes, a pathlib.Path, a binary file or an async iterator of bytes,"
            f" not {type(source).__name__}"
        )
    if hasattr(source, "encoding"):
        raise TypeError("the file was opened as text: open it in binary mode")
    return bool(getattr(source, "seekable", bool)())
