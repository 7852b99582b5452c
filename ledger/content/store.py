"""Where contents are kept, by digest: the promises that every store makes.

A content is first staged (received and hashed, under no name), then published. Once published it
is durable under its digest, and only garbage collection ever removes it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from asset_ledger.ledger.ids import Digest

SMALL: Final = 65_536
"""Contents up to this many bytes stay in memory while they arrive and are packed together."""

HEAD: Final = 8_192
"""How many first bytes of a content are kept at hand to tell its type."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A whole content that has arrived: hashed, and not published yet.

    `small` holds the bytes themselves up to 64 KiB; larger ones are in the private file `path`.
    `head` is the first 8 KiB at most.
    """

    digest: Digest
    size: int
    head: bytes
    small: bytes | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class OwnedContent(Staged):
    """A content that was published before: who names it instead of sending it has to own it."""


class Stage(Protocol):
    """A content that is arriving. It belongs to one caller."""

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises DiskFullError or StorageFailedError."""

    async def finish(self) -> Staged:
        """The content is complete. Small ones cost no thread hop."""

    async def discard(self) -> None:
        """Forget it, and remove its private file. Harmless after `finish` and `publish`."""


class Content(Protocol):
    """A published content, opened for reading. `path`: a local file that holds it, if any does."""

    size: int
    path: Path | None

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes [start, stop), in pieces of at most 1 MiB."""

    async def close(self) -> None:
        """Give back what reading it held."""


class ContentStore(Protocol):
    """A place for contents.

    - `publish` MUST NOT return before a large content is durable under its digest, also when the
      same content was there already (whose first writer may not have finished).
    - Small contents are not published: the group commit makes them durable (`content.packed`).
    - The same bytes MUST be kept once, also when two publish them at the same moment.
    - No method may remove a published content.
    """

    def stage(self) -> Stage:
        """Begin to receive a content."""

    async def publish(self, staged: Staged) -> None:
        """Make a large content durable. A small one is left to the group commit."""

    async def open(self, digest: Digest) -> Content | None:
        """The content with this digest, or None if it was never published."""

    async def close(self) -> None:
        """Give everything back."""
