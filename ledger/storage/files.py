"""Folders whose names survive a power cut, and the lock that makes a data folder one process's own.

What the disk refuses leaves this package as StorageFailedError, or DiskFullError for want of space.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from asset_ledger.ledger.errors import (
    DiskFullError,
    StorageFailedError,
)

_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Whatever the disk or SQLite refuses in this block, as a DiskFullError or StorageFailedError.

    `what` is the sentence of what did not happen.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        kind = DiskFullError if _is_full(error) else StorageFailedError
        raise kind(f"{what}: {_reason(error)}") from error


def _is_full(error: OSError | sqlite3.Error) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_SPACE
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _reason(error: OSError | sqlite3.Error) -> str:
    # An OSError's own text names the file: the caller of an API has no business with our paths.
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def make_folder(folder: Path) -> None:
    """A durable folder that only its owner can enter (0700); harmless if it is there."""
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(PermissionError):  # a parent that we may not read was not made by us
        sync_folder(folder.parent)  # also if it was there: its maker may not have come this far


def sync_folder(folder: Path) -> None:
    """Make the names in this folder durable: a power cut forgets a rename without it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
