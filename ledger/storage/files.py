"""Durable folders, and the errors of the disk.

Disk and SQLite errors leave this package as StorageFailedError, or as DiskFullError.
"""

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from asset_ledger.ledger.errors import DiskFullError, StorageFailedError
from asset_ledger.ledger.storage.descriptors import is_shortage, patiently

_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)

SHORTAGE: Final = "the server has too few file descriptors; send it again"

GOOD_FOR: Final = 0.05
"""Seconds that a name is trusted for reads. Each commit asks anew."""

sync_data: Final = getattr(os, "fdatasync", os.fsync)
"""Make the bytes of an open file durable. macOS has no fdatasync."""


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Raise OSError and sqlite3.Error in this block as DiskFullError or StorageFailedError.

    `what` says what did not happen, such as "the content was not stored".
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        kind = DiskFullError if is_full(error) else StorageFailedError
        raise kind(f"{what}: {_reason(error)}") from error


def is_full(error: OSError | sqlite3.Error) -> bool:
    """Return whether the disk, or the user's share of it, is full."""
    if isinstance(error, OSError):
        return error.errno in _NO_SPACE
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _reason(error: OSError | sqlite3.Error) -> str:
    if is_shortage(error):
        return SHORTAGE
    # The text of an OSError names the file: API clients must not see paths of the server.
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def drop_cached(descriptor: int, start: int, size: int) -> None:
    """Drop bytes of a file from the page cache, so that the disk is read; 0: all after `start`.

    Linux only: elsewhere, do nothing.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_DONTNEED)


def begin_writeback(descriptor: int, size: int) -> None:
    """Let the disk begin to write the last `size` bytes of a file, so that an fsync waits for less.

    Linux only: elsewhere, do nothing. It writes what it is asked to drop, and drops what is clean.
    """
    end = os.lseek(descriptor, 0, os.SEEK_CUR)
    drop_cached(descriptor, end - size, size)


class NamedFile:
    """An existing file, to find out later whether its name still leads to it."""

    def __init__(self, path: Path) -> None:
        self._path, self._found = str(path), path.stat()
        self._good_until = 0.0

    @property
    def problem(self) -> str | None:
        """What happened to the file, and what to do; None if it is there."""
        try:
            if os.path.samestat(os.stat(self._path), self._found):
                return None
        except OSError:
            pass
        return (
            "the data folder was moved or removed, or its disk is gone: nothing is recorded."
            " Put it back, or restart the server with its new place"
        )

    def check(self) -> None:
        """Raise StorageFailedError if the name leads elsewhere: what is written would be lost."""
        if problem := self.problem:
            raise StorageFailedError(problem)

    def check_often(self) -> None:
        """Raise as `check`, which a good answer saves for the next `GOOD_FOR` seconds."""
        now = time.monotonic()
        if now > self._good_until:
            self.check()
            self._good_until = now + GOOD_FOR


def make_folder(folder: Path) -> None:
    """Make a durable folder, with its parents, that only its owner can enter (0700)."""
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(PermissionError):  # an unreadable parent was made by another user
        sync_folder(folder.parent)  # also for an existing folder: its maker may have been killed


def write_durably(path: Path, text: bytes) -> None:
    """Write a small file that only its owner can read, whole or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)  # a killed one may have had other permissions
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in this folder durable: without it a power cut undoes a rename.

    Waits for descriptors, because a name that is not synced is in doubt.
    """
    descriptor = patiently(lambda: os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
