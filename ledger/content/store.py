"""The interface of content stores: contents by digest.

A content is first staged (received and hashed, without a name), then published. Once published it
is durable under its digest, and only garbage collection removes it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.ids import Digest

SMALL: Final = 65_536
"""Contents up to this many bytes stay in memory during the upload and are packed together."""

HEAD: Final = 8_192
"""The number of first bytes of a content from which its type is detected."""


class StoredObject(NamedTuple):
    """The object at `url` that has a large content: a row of the table `objects` of the log."""

    digest: Digest
    url: str
    size: int


@dataclass(frozen=True, slots=True)
class Staged:
    """A whole content that is hashed and not published yet.

    `small`: its bytes, up to 64 KiB; a larger content is in the private file `path`, or will be
    in an object store as `stored`. `head`: its first 8 KiB at most.
    """

    digest: Digest
    size: int
    head: bytes
    small: bytes | None = None
    path: Path | None = None
    stored: StoredObject | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether it is published by its row in the log, and not by a file of its own."""
        return self.small is not None or self.stored is not None


@dataclass(frozen=True, slots=True)
class OwnedContent(Staged):
    """A published content that a request names instead of sending it: its user must own it."""


class Stage(Protocol):
    """A content that is being uploaded. It belongs to one caller."""

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises DiskFullError or StorageFailedError."""

    async def finish(self) -> Staged:
        """Return the whole content. A small one costs no thread hop."""

    async def discard(self) -> None:
        """Drop the bytes and the private file. Harmless after `finish` and `publish`."""


class Content(Protocol):
    """A published content, opened for reading. `path`: the local file that holds it, if any."""

    size: int
    path: Path | None

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, stop), in pieces of at most 1 MiB."""

    async def close(self) -> None:
        """Close what reading needed."""


class ContentStore(Protocol):
    """Stores contents by digest.

    - `publish` MUST NOT return before a large content is durable, also if the same content exists
      already (its first writer may not have finished). A local store has it under its digest then,
      an object store once the log has its row.
    - Small contents are not published: the group commit makes them durable (`content.packs`).
    - The same bytes MUST be stored once, also if two callers publish them at the same time.
    - Only a `removal` removes a published content.
    """

    @property
    def failure(self) -> StorageFailedError | None:
        """Why large contents are refused until a restart; None if they are not."""

    def stage(self) -> Stage:
        """Begin to receive a content."""

    def local_stage(self) -> Stage:
        """Begin to receive bytes for a file of the data folder, such as a part of a content."""

    def taking(self, staged: Staged) -> AbstractAsyncContextManager[Staged]:
        """Lend a content that may be in such a file, as this store publishes it."""

    async def publish(self, staged: Staged) -> None:
        """Make a large content durable. Do nothing for a small one: the group commit packs it."""

    async def open(self, digest: Digest) -> Content | None:
        """Open the content with this digest; None if it was never published."""

    async def collected(self, digest: Digest) -> str | None:
        """Return when an absent content was collected; None if it was not."""

    async def removal(self, digests: Sequence[Digest]) -> Callable[[], Awaitable[None]]:
        """Return what removes these large contents. Call it after an event has collected them."""

    async def sweep(self) -> int:
        """Remove what uploads left that were not recorded. Return the number of contents."""

    def forget_packs(self) -> None:
        """Close packs that may have been removed."""

    async def close(self) -> None:
        """Close files, connections and threads."""
