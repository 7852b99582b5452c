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
from collections.abc import Iterator, Mapping, Sequence
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
from asset_ledger.ledger.storage.files import is_full, make_folder, sync_data, sync_folder

MAGIC: Final = b"ALC1"
PACK_SIZE: Final = 64 << 20
"""Bytes of a pack after which the next one begins: collection rewrites at most so many at once."""
AHEAD: Final = 256 << 10
"""Zeros to write after a small group: fdatasync takes a third less time where the file does not
grow, as the file system then has no metadata to write."""
OPEN_PACKS: Final = 32
"""The number of packs that a reader keeps open."""

_NO_WAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
"""Linux only: read what is in the page cache, or raise BlockingIOError."""
_HEADER: Final = Struct(f">{len(MAGIC)}sI32s")
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
            raise CorruptLogError(
                f"the content {place.digest} was changed or removed in pack {place.pack}: restore"
                " that file from a backup, or upload the same bytes again"
            )
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
        header, content = bytearray(_HEADER.size), bytearray(place.size)
        try:
            file = self._opened(place.pack)
        except FileNotFoundError:
            return None
        os.preadv(file.descriptor, [header, content], place.offset, flags)
        whole = header == _header(place.digest, place.size) and digest_of(content) == place.digest
        return bytes(content) if whole else None

    def close(self) -> None:
        """Close the packs."""
        self._opened.cache_clear()


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
        except OSError as error:  # the next fsync would report success for what this one lost
            self.failure = StorageFailedError(
                f"the disk failed (I/O error: {error.strerror}); read-only until a restart"
            )
            raise self.failure from error

    def close(self) -> None:
        """Close the packs."""
        self._reader.close()
        self._leave()

    def _append(self, contents: Sequence[tuple[Digest, bytes]]) -> list[Place]:
        file, places, records, end = self._last(), list[Place](), list[bytes](), self._end
        for digest, content in contents:
            places.append(Place(digest, self._number, end, len(content)))
            records += (_header(digest, len(content)), content)
            end += _HEADER.size + len(content)
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
            file = PackFile(self._files.pack(self._number), os.O_WRONLY | os.O_CREAT)
        except OSError as error:
            raise (_disk_full() if is_full(error) else error) from error
        sync_folder(self._files.packs)  # also for an existing file: its maker may have been killed
        return file


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
        at = data.find(MAGIC, at + (1 if content is None else _HEADER.size + len(content)))


def _content_at(data: bytes, at: int) -> bytes | None:
    if len(data) - at < _HEADER.size:
        return None
    _, size, digest = _HEADER.unpack_from(data, at)
    content = data[at + _HEADER.size : at + _HEADER.size + size] if size <= SMALL else b""
    whole = len(content) == size and _digest(content) == digest
    return content if whole else None


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _header(digest: Digest, size: int) -> bytes:
    return _HEADER.pack(MAGIC, size, key_of(digest))


def _disk_full() -> DiskFullError:
    return DiskFullError("the disk is full; nothing was recorded: free space, then retry")
