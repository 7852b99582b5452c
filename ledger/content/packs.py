"""Pack files: small contents one after the other, with one fsync for a whole group.

    packs/00000001.pack    records; once a pack has 64 MiB, the next one begins

A record is a header of 40 bytes (`ALC1`, the size as u32 big-endian, the SHA-256) and the content.
`content.places` has the place of each record. Promise: a record is durable before it has a place,
and no byte of a record with a place is ever changed. Bytes without a place are no content: a kill
or a failed group left them, perhaps incomplete. The next start appends after them.

Collection can remove a pack with few live contents, without the log's events: append the records
of `records_in` that a place still names to the last pack, change these places in one transaction,
then remove the file. A reader that finds no file looks the place up again.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from struct import Struct
from typing import Final

from asset_ledger.ledger.content.places import Place, key_of
from asset_ledger.ledger.content.store import SMALL
from asset_ledger.ledger.errors import CorruptLogError, DiskFullError, StorageFailedError
from asset_ledger.ledger.ids import Digest, digest_of
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.descriptors import is_shortage, patiently
from asset_ledger.ledger.storage.files import (
    SHORTAGE,
    drop_cached,
    is_full,
    make_folder,
    storage_errors,
    sync_data,
    sync_folder,
)

MAGIC: Final = b"ALC1"
PACK_SIZE: Final = 64 << 20
"""Bytes of a pack after which the next one begins: collection rewrites at most so many at once."""
AHEAD: Final = 256 << 10
"""Zeros to write after a small group: fdatasync takes a third less time where the file does not
grow, as the file system then has no metadata to write."""
_MOVED_AT_ONCE: Final = 4 << 20
OPEN_PACKS: Final = 32
"""The number of packs that a reader keeps open."""

_NO_WAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
"""Linux only: read what is in the page cache, or raise BlockingIOError."""
_HEADER: Final = Struct(f">{len(MAGIC)}sI32s")
HEADER_SIZE: Final = _HEADER.size
"""Bytes of a record before its content."""
_NAME: Final = re.compile(r"(\d{8})\.pack", re.ASCII)


class PackFile:
    """An open pack. Closed with its last reference, so that no thread reads a closed file."""

    def __init__(self, path: Path, flags: int = os.O_RDONLY) -> None:
        """Open the file. Raises OSError."""
        self.descriptor = os.open(path, flags, 0o600)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):  # else it was not opened
            os.close(self.descriptor)


class PackReader:
    """Reads contents at their places. Threads and the event loop may share it."""

    def __init__(self, files: ContentFolder) -> None:
        self._opened = lru_cache(OPEN_PACKS)(lambda number: PackFile(files.pack(number)))

    def read(self, place: Place) -> bytes:
        """Return a content. Raises CorruptLogError if it is not at its place, and OSError."""
        content = self.find(place)
        if content is None:
            raise _not_there(place)
        return content

    def read_moving(
        self, place: Place, place_now: Callable[[Digest], Place | None]
    ) -> bytes | None:
        """Return a content, which collection may move meanwhile; None if it has no place any more.

        Raises CorruptLogError if it is not at its place, and OSError.
        """
        while (content := self.find(place)) is None:
            now = place_now(place.digest)
            if now is None:
                return None
            if now == place:
                raise _not_there(place)
            place = now
        return content

    def find_cached(self, place: Place) -> bytes | None:
        """Return a content that is in memory, without waiting for the disk; else None."""
        with suppress(OSError):  # it would wait, or the file system cannot say
            return None if _NO_WAIT is None else self.find(place, _NO_WAIT)
        return None

    def find(self, place: Place, flags: int = 0) -> bytes | None:
        """Return a content; None if the pack is missing or has other bytes. Raises OSError."""
        # The row was changed. For preadv, an offset of -1 is where the file was read last.
        if place.offset < 0 or not 0 <= place.size <= SMALL:
            return None
        header, content = bytearray(HEADER_SIZE), bytearray(place.size)
        try:
            file = self._opened(place.pack)
        except FileNotFoundError:
            return None
        os.preadv(file.descriptor, [header, content], place.offset, flags)
        whole = header == _header(place.digest, place.size) and digest_of(content) == place.digest
        return bytes(content) if whole else None

    def find_on_disk(self, place: Place) -> bytes | None:
        """Return a content as the disk has it, past the page cache. Raises OSError."""
        with suppress(OSError):  # `find` raises what matters
            file = self._opened(place.pack)
            drop_cached(file.descriptor, place.offset, HEADER_SIZE + place.size)
        return self.find(place)

    def close(self) -> None:
        """Close the packs."""
        self._opened.cache_clear()


def _not_there(place: Place) -> CorruptLogError:
    return CorruptLogError(
        f"the content {place.digest} was changed or removed in pack {place.pack}: restore"
        " that file from a backup, or upload the same bytes again"
    )


class Packs:
    """Appends contents to the last pack. One thread at a time may use it.

    `failure`: why nothing is appended until a restart; None if writes work.
    """

    def __init__(self, files: ContentFolder) -> None:
        """Find the last pack, which the first content opens. Raises OSError."""
        self.failure: StorageFailedError | None = None
        self._files, self._reader = files, PackReader(files)
        make_folder(files.packs)
        self._number = max(pack_numbers(files), default=1)
        self._file: PackFile | None = None
        self._end = self._zeroed = 0

    def append(
        self, contents: Mapping[Digest, bytes], stored: Mapping[Digest, Place]
    ) -> list[Place]:
        """Make contents durable, except those that are at their `stored` place.

        Return the places of the new ones. Raises StorageFailedError: then no content has one.
        """
        if self.failure is not None:
            raise self.failure
        try:
            lost = {digest for digest, place in stored.items() if self._reader.find(place) is None}
            absent = lost.union(contents.keys() - stored.keys())
            new = [(digest, each) for digest, each in contents.items() if digest in absent]
            return self._append(new) if new else []
        except DiskFullError:
            raise
        except OSError as error:
            if is_shortage(error):  # nothing was written
                raise StorageFailedError(f"the content was not stored: {SHORTAGE}") from error
            # The next fsync would report success for what this one lost.
            self.failure = StorageFailedError(
                f"the disk failed (I/O error: {error.strerror}); read-only until a restart"
            )
            raise self.failure from error

    def move(
        self, number: int, places: Callable[[Sequence[Digest]], Mapping[Digest, Place]]
    ) -> list[Place]:
        """Append the contents that have their place in a pack to the last pack; never to itself.

        Return their new places. Raises StorageFailedError.
        """
        if number == self._number:
            self._leave()
            self._number += 1
        moved = list[Place]()
        for records in _batches(records_in(self._files.pack(number))):
            named = [(digest_of(content), at, content) for at, content in records]
            stored = places(list({digest for digest, _, _ in named}))
            here = {
                digest: content
                for digest, at, content in named
                if digest in stored and stored[digest][1:3] == (number, at)
            }
            moved += self.append(here, {})
        return moved

    def remove(self, number: int) -> None:
        """Remove a pack that no place names. Raises StorageFailedError."""
        with storage_errors("the pack was not removed"):
            self._reader.close()  # else its descriptor keeps the space
            self._files.pack(number).unlink(missing_ok=True)
            sync_folder(self._files.packs)

    def close(self) -> None:
        """Close the packs."""
        self._reader.close()
        self._leave()

    def _append(self, contents: Sequence[tuple[Digest, bytes]]) -> list[Place]:
        file, places, records, end = self._last(), list[Place](), list[bytes](), self._end
        for digest, content in contents:
            places.append(Place(digest, self._number, end, len(content)))
            records += (_header(digest, len(content)), content)
            end += HEADER_SIZE + len(content)
        ahead = AHEAD if end > self._zeroed and end - self._end <= AHEAD // 4 else 0
        self._write(file, b"".join([*records, bytes(ahead)]))
        sync_data(file.descriptor)
        self._end, self._zeroed = end, max(self._zeroed, end + ahead)
        return places

    def _write(self, file: PackFile, records: bytes) -> None:
        """Write these bytes at the end. Cut off what was written if the disk is full."""
        rest, at = memoryview(records), self._end
        try:
            while rest:
                written = os.pwrite(file.descriptor, rest, at)
                rest, at = rest[written:], at + written
        except OSError as error:
            if not is_full(error):
                raise
            os.ftruncate(file.descriptor, self._end)
            self._zeroed = self._end
            raise _disk_full() from error

    def _last(self) -> PackFile:
        """Return the pack to append to. Begin the next one if the last one is full."""
        if self._file is None:
            self._file = self._open()
            self._end = os.fstat(self._file.descriptor).st_size
        if self._end >= PACK_SIZE:
            self._leave()
            self._number += 1
            self._file, self._end, self._zeroed = self._open(), 0, 0
        return self._file

    def _leave(self) -> None:
        """Cut off the zeros at the end. If that fails, the next start appends after them."""
        if self._file is not None and self._zeroed > self._end and self.failure is None:
            with suppress(OSError):
                os.ftruncate(self._file.descriptor, self._end)
        self._file = None

    def _open(self) -> PackFile:
        try:
            path = self._files.pack(self._number)
            file = patiently(lambda: PackFile(path, os.O_WRONLY | os.O_CREAT))
        except OSError as error:
            raise (_disk_full() if is_full(error) else error) from error
        sync_folder(self._files.packs)  # also for an existing file: its maker may have been killed
        return file


def _batches(
    records: Iterator[tuple[int, bytes]],
) -> Iterator[list[tuple[int, bytes]]]:
    """Yield records in batches of at most 4 MiB and one record; the same content once a batch."""
    batch, size = list[tuple[int, bytes]](), 0
    for record in records:
        batch.append(record)
        size += len(record[1])
        if size >= _MOVED_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def pack_numbers(files: ContentFolder) -> list[int]:
    """Return the numbers of all packs, in order."""
    names = files.packs.iterdir() if files.packs.is_dir() else ()
    return sorted(int(found[1]) for path in names if (found := _NAME.fullmatch(path.name)))


def records_in(pack: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the content of each whole record, without any place. Raises OSError.

    Bytes that belong to no whole record are skipped.
    """
    data = pack.read_bytes()
    at = data.find(MAGIC)
    while at >= 0:
        content = _content_at(data, at)
        if content is not None:
            yield at, content
        at = data.find(MAGIC, at + (1 if content is None else HEADER_SIZE + len(content)))


def _content_at(data: bytes, at: int) -> bytes | None:
    if len(data) - at < HEADER_SIZE:
        return None
    _, size, digest = _HEADER.unpack_from(data, at)
    content = data[at + HEADER_SIZE : at + HEADER_SIZE + size] if size <= SMALL else b""
    whole = len(content) == size and _digest(content) == digest
    return content if whole else None


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _header(digest: Digest, size: int) -> bytes:
    return _HEADER.pack(MAGIC, size, key_of(digest))


def _disk_full() -> DiskFullError:
    return DiskFullError("the disk is full; nothing was recorded: free space, then retry")
