"""Contents checked against what the log records: size when opened, digest when read as a whole.

Promise: reading all of a damaged content raises ContentDamagedError before the last piece. A packed
content is checked when it is opened, so its ranges are checked too.
"""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asset_ledger.ledger.content.reading import SmallContent
from asset_ledger.ledger.content.store import (
    SMALL,
    Content,
    ContentStore,
    OwnedContent,
    Stage,
    Staged,
)
from asset_ledger.ledger.errors import (
    ContentCollectedError,
    ContentDamagedError,
    CorruptLogError,
    StorageFailedError,
)
from asset_ledger.ledger.ids import Digest, digest_from_hex, digest_of

MOST: Final = 1_000
"""Damaged contents that are remembered at most."""

_Stamp = tuple[int, int, int] | None
"""Inode, time of change in ns and size of a content's file: they differ once it was replaced."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Damage:
    error: ContentDamagedError
    stamp: _Stamp


class CheckedContents:
    """A store whose contents are checked as they are read. It remembers what is damaged."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._damaged: dict[Digest, _Damage] = {}
        self._used = defaultdict[Digest, int](int)
        self._collecting: frozenset[Digest] = frozenset()

    @property
    def damaged(self) -> int:
        """The number of contents that were found damaged and not repaired since."""
        return len(self._damaged)

    @property
    def failure(self) -> StorageFailedError | None:
        """Why large contents are refused until a restart; None if they are not."""
        return self._store.failure

    @property
    def damaged_digests(self) -> frozenset[Digest]:
        """Those contents, up to 1,000."""
        return frozenset(self._damaged)

    def damage_of(self, digest: Digest) -> str | None:
        """Return what was found wrong with a content, and not repaired since; None if nothing."""
        known = self._damaged.get(digest)
        return None if known is None else str(known.error)

    def stage(self) -> Stage:
        """Begin to receive a content."""
        return self._store.stage()

    def local_stage(self) -> Stage:
        """Begin to receive bytes for a file of the data folder, such as a part of a content."""
        return self._store.local_stage()

    def taking(self, staged: Staged) -> AbstractAsyncContextManager[Staged]:
        """Lend a content that may be in such a file, as the store publishes it."""
        return self._store.taking(staged)

    @contextmanager
    def using(self, contents: Sequence[Staged]) -> Iterator[None]:
        """Keep these contents from being collected until the block, which records them, ends."""
        digests = [each.digest for each in contents if not isinstance(each, OwnedContent)]
        for digest in digests:
            self._used[digest] += 1
        try:
            yield
        finally:
            self._release(digests)

    def _release(self, digests: Sequence[Digest]) -> None:
        for digest in digests:
            self._used[digest] -= 1
            if not self._used[digest]:
                del self._used[digest]

    @asynccontextmanager
    async def collecting(self, digests: Sequence[Digest]) -> AsyncIterator[list[Digest]]:
        """Keep contents from being published while the block collects them.

        Yield those that no upload uses now. One collection at a time.
        """
        self._collected = asyncio.Event()
        free = [digest for digest in digests if digest not in self._used]
        self._collecting = frozenset(free)
        try:
            yield free
        finally:
            self._collecting = frozenset()
            self._collected.set()

    async def collected(self, digest: Digest) -> str | None:
        """Return when a content was collected; None if it is there, or was not collected."""
        return await self._store.collected(digest)

    async def removal(self, digests: Sequence[Digest]) -> Callable[[], Awaitable[None]]:
        """Return what removes these large contents. Call it after an event has collected them."""
        remove_stored = await self._store.removal(digests)

        async def remove() -> None:
            await remove_stored()
            for digest in digests:
                self.forget(digest)

        return remove

    async def sweep(self) -> int:
        """Remove what uploads left that were not recorded. Return the number of contents."""
        return await self._store.sweep()

    def forget_packs(self) -> None:
        """Close packs that may have been removed."""
        self._store.forget_packs()

    async def publish(self, staged: Staged) -> None:
        """Make a large content durable. The same bytes repair a damaged content.

        The caller is in a block of `using`.
        """
        while staged.digest in self._collecting:
            await self._collected.wait()
        await self._store.publish(staged)
        self.forget(staged.digest)

    async def open(self, digest: Digest, size: int) -> Content:
        """Open a content that the log records with this size. Raises ContentDamagedError."""
        try:
            content = await self._store.open(digest)
        except CorruptLogError as error:
            raise self.note(digest, str(error)) from error
        if content is None:
            if (when := await self._store.collected(digest)) is not None:
                raise ContentCollectedError(digest, when)
            raise self.note(digest, "its bytes are missing")
        try:
            return await self._checked(content, digest, size)
        except BaseException:
            await content.close()
            raise

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    def note(self, digest: Digest, reason: str, path: Path | None = None) -> ContentDamagedError:
        """Remember a damaged content. Return the error for its reader."""
        error = ContentDamagedError(digest, reason)
        if digest not in self._damaged:
            logger.error("%s", error)
        if digest in self._damaged or len(self._damaged) < MOST:
            self._damaged[digest] = _Damage(error, _stamp(path))
        return error

    def forget(self, digest: Digest) -> None:
        """Note that a content is whole."""
        self._damaged.pop(digest, None)

    async def _checked(self, content: Content, digest: Digest, size: int) -> Content:
        known = self._damaged.get(digest)
        if known is not None and known.stamp and known.stamp == _stamp(content.path):
            raise known.error  # else a client would resume a broken transfer behind the damage
        if content.size != size:
            reason = f"it has {content.size:,} bytes instead of {size:,}"
            raise self.note(digest, reason, content.path)
        checked = CheckedContent(self, content, digest)
        return checked if content.size > SMALL else await checked.in_memory()


class CheckedContent:
    """A content of the recorded size. Reading all of it also checks its digest."""

    def __init__(self, contents: CheckedContents, content: Content, digest: Digest) -> None:
        self._contents, self._content, self._digest = contents, content, digest
        self.size, self.path = content.size, content.path

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, stop). Raises ContentDamagedError, before the last piece."""
        pieces = self._content.chunks(start, stop)
        try:
            async for piece in self._hashed(pieces) if start <= 0 and stop >= self.size else pieces:
                yield piece
        except StorageFailedError as error:
            raise self._contents.note(self._digest, str(error), self.path) from error

    async def in_memory(self) -> Content:
        """Return the content in memory, checked. Raises ContentDamagedError."""
        whole = b"".join([piece async for piece in self._content.chunks(0, self.size)])
        self._compare(digest_of(whole))
        return SmallContent(whole)

    async def close(self) -> None:
        """Close what reading needed."""
        await self._content.close()

    async def _hashed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield each piece while a thread hashes the next one; the last after the comparison."""
        hashed, held = hashlib.sha256(), b""
        async for piece in pieces:
            hashing = asyncio.create_task(asyncio.to_thread(hashed.update, piece))
            if held:
                yield held
            await hashing
            held = piece
        self._compare(digest_from_hex(hashed.hexdigest()))
        if held:
            yield held

    def _compare(self, found: Digest) -> None:
        if found != self._digest:
            reason = f"its bytes have the digest {found}"
            raise self._contents.note(self._digest, reason, self.path)
        self._contents.forget(self._digest)


async def check(content: Content) -> None:
    """Read a content to its end. Raises ContentDamagedError."""
    async for _ in content.chunks(0, content.size):
        pass


def _stamp(path: Path | None) -> _Stamp:
    if path is None:
        return None
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
