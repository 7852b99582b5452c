"""Uploads that arrive in several requests, in files that survive a kill.

    uploads/<id>.json     the declaration, and how many bytes are durable; replaced as a whole
    uploads/<id>.bytes    the bytes; those after the durable ones are cut off

Promise: an offset is stored after the bytes before it were synced, so it never goes back. The
digest of a whole upload is stored before its file is published, so that a kill before the event
loses nothing.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.ledger.content.staging import Spilled, write_all
from asset_ledger.ledger.content.store import HEAD, SMALL, Staged
from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.ids import AssetId, Digest, digest_from_hex, parse_asset_id
from asset_ledger.ledger.storage.descriptors import patiently
from asset_ledger.ledger.storage.files import (
    begin_writeback,
    make_folder,
    storage_errors,
    sync_data,
    sync_folder,
    write_durably,
)

PIECE: Final = 1 << 20
BEHIND: Final = 4
"""Bytes to read and hash again for each one that arrives, after a restart forgot the hash."""

_STATE: Final = ".json"
_BYTES: Final = ".bytes"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadState:
    """An upload of `size` bytes for a user, of which `offset` are durable.

    `declared`: JSON of the caller. `changed_at`: in seconds since 1970. `digest`: once it is whole.
    """

    id: AssetId
    user_id: str
    size: int
    declared: Mapping[str, Any]
    changed_at: float
    offset: int = 0
    digest: Digest | None = None


class UploadPart(NamedTuple):
    """A durable part of an upload. `number`: the offset of its first byte, or the client's.

    `url`: its object; None for a small one, whose bytes are in the database.
    """

    upload_id: str
    number: int
    digest: Digest
    size: int
    stored_at: float
    url: str | None


class RunningHash:
    """The SHA-256 of the first `size` bytes of a file."""

    def __init__(self) -> None:
        self.size, self._sha256 = 0, hashlib.sha256()

    def update(self, chunk: bytes) -> None:
        """Hash the next bytes."""
        self._sha256.update(chunk)
        self.size += len(chunk)

    def read(self, descriptor: int, stop: int) -> None:
        """Hash the bytes of a file up to `stop`. Raises OSError, StorageFailedError."""
        while self.size < stop:
            piece = os.pread(descriptor, min(PIECE, stop - self.size), self.size)
            if not piece:
                raise _lost()
            self.update(piece)

    def copy(self) -> "RunningHash":
        """Return the same hash, which can be continued otherwise."""
        other = RunningHash()
        other.size, other._sha256 = self.size, self._sha256.copy()
        return other

    def digest(self) -> Digest:
        """Return the digest of the bytes so far."""
        return digest_from_hex(self._sha256.hexdigest())


class UnfinishedUpload:
    """One upload and its files. Threads call its methods, because they block."""

    def __init__(self, folder: Path, state: UploadState) -> None:
        self.state = state
        self.path = folder / f"{state.id}{_BYTES}"
        self._file: FileIO | None = None
        self._end = state.offset
        self._durable = self._arrived = RunningHash()
        self._is_stored = True
        self._lock = Lock()

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are durable."""
        return self.state.offset == self.state.size

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append and hash. Raises DiskFullError or StorageFailedError."""
        with self._lock, storage_errors("the bytes were not stored"):
            file = self._open()
            for chunk in chunks:
                write_all(file, chunk)
                if self._arrived.size == self._end:
                    self._arrived.update(chunk)
                self._end += len(chunk)
            before, size = self._arrived.size, sum(map(len, chunks))
            begin_writeback(file.fileno(), size)
            self._arrived.read(file.fileno(), min(self._end, before + BEHIND * size))

    def sync(self, now: datetime) -> None:
        """Make what was written durable, then store the offset. Raises StorageFailedError."""
        with self._lock:
            if self._file is None or self._end == self.state.offset:
                return
            with storage_errors("the bytes were not stored"):
                sync_data(self._file.fileno())
            self.save(offset=self._end, changed_at=now.timestamp())
            self._durable = self._arrived.copy()

    def discard(self) -> None:
        """Cut off what is not durable, and close the file. The upload can be continued.

        Nothing is cut off while the stored state is unknown: it may count these bytes.
        """
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                with file:
                    if self._is_stored:
                        file.truncate(self.state.offset)

    def complete(self) -> Staged | None:
        """Return the whole content once its digest is stored; None if its file was published.

        Raises StorageFailedError.
        """
        with self._lock, storage_errors("the bytes were not read"):
            if self.state.digest is not None and not self.path.exists():
                return None
            with self._whole_file() as file:
                if self.state.digest is None:
                    self._durable.read(file.fileno(), self.state.size)
                    self.save(digest=self._durable.digest())
                small = self.state.size <= SMALL
                return self.staged(file.read(SMALL if small else HEAD), small=small)

    def is_left(self) -> bool:
        """Return whether this is left of an upload that was removed: a power cut may bring its
        state back without its bytes. Those of a whole upload may have been published."""
        return self.state.digest is None and self.state.offset > 0 and not self.path.exists()

    def staged(self, first: bytes, *, small: bool = False) -> Staged:
        """Return the whole content, which begins with these bytes; `small`: they are all."""
        digest, size = self.state.digest, self.state.size
        if digest is None:
            raise StorageFailedError("the upload is not whole")
        if small:
            return Staged(digest, size, first[:HEAD], first)
        return Spilled(digest=digest, size=size, head=first, path=self.path, file=self)

    def publish(self, target: Path) -> None:
        """Give the durable file another name. Works once. Raises OSError."""
        with self._lock:
            self.path.rename(target)

    def remove(self) -> None:
        """Remove the files. Raises StorageFailedError."""
        with self._lock, storage_errors("the upload was not removed"):
            self._state_path.unlink(missing_ok=True)  # first: bytes without it are removed
            self.path.unlink(missing_ok=True)

    @property
    def _state_path(self) -> Path:
        return self.path.with_suffix(_STATE)

    def _open(self) -> FileIO:
        """Return the file, opened at the end of the durable bytes."""
        if self._file is None:
            if not self._is_stored:
                self.save()
            self._file = self._whole_file()
            self._end = self.state.offset
            self._file.truncate(self._end)
            self._file.seek(self._end)
            self._arrived = self._durable.copy()
        return self._file

    def _whole_file(self) -> FileIO:
        """Open the file. Raises StorageFailedError if it lacks durable bytes."""
        if not self.path.exists():  # its name is durable before a state that counts its bytes
            patiently(lambda: self.path.touch(0o600))
            sync_folder(self.path.parent)
        file = FileIO(patiently(lambda: os.open(self.path, os.O_RDWR)), "rb+")
        if os.fstat(file.fileno()).st_size < self.state.offset:
            file.close()
            raise _lost()
        return file

    def save(self, **changes: Any) -> None:
        """Store a changed state, durably. Raises DiskFullError or StorageFailedError."""
        state, self._is_stored = replace(self.state, **changes), False
        with storage_errors("the upload was not stored"):
            write_durably(self._state_path, orjson.dumps(asdict(state)))
        self.state, self._is_stored = state, True


class UnreadableUpload:
    """An upload whose stored state cannot be read: no client can continue it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def remove_if_older(self, limit: float) -> bool:
        """Remove the files if the state was not written since a time, in seconds since 1970.

        Return whether they are gone.
        """
        try:
            is_older = self._path.stat().st_mtime <= limit
        except FileNotFoundError:  # the same upload was begun again, and finished
            return True
        if is_older:
            self._path.unlink(missing_ok=True)  # first: bytes without it are removed
            self._path.with_suffix(_BYTES).unlink(missing_ok=True)
        return is_older


def find_unfinished(folder: Path) -> Iterator[UnfinishedUpload | UnreadableUpload]:
    """Yield the uploads in a folder, which is made if absent. Remove what killed ones left."""
    make_folder(folder)
    for path in sorted(each for each in folder.iterdir() if not each.is_dir()):
        if path.suffix == _STATE:
            try:
                found = UnfinishedUpload(folder, _read(path))
                if found.is_left():
                    found.remove()
                else:
                    yield found
            except (OSError, ValueError, TypeError, StorageFailedError) as error:
                logger.error("the unfinished upload %s cannot be read: %s", path, error)
                yield UnreadableUpload(path)
        elif path.suffix != _BYTES or not path.with_suffix(_STATE).exists():
            path.unlink(missing_ok=True)


def _read(path: Path) -> UploadState:
    state = UploadState(**orjson.loads(path.read_bytes()))
    parse_asset_id(state.id)
    return state


def _lost() -> StorageFailedError:
    return StorageFailedError("bytes of this upload were lost: delete it, and start again")
