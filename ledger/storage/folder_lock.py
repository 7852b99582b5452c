"""The lock that gives a data folder to one process, and the secret that its lock file holds."""

import fcntl
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from asset_ledger.ledger.errors import (
    DataFolderError,
    FolderLockedError,
)
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.files import make_folder, storage_errors


class Holder(NamedTuple):
    """Who has a data folder, as its lock file says: only its owner can read that (0600)."""

    pid: int
    address: str | None
    secret: str


class FolderLock:
    """A data folder that is ours. Whoever can read the lock file may act as its admin, once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._announced = Holder(os.getpid(), None, _new_secret())
        self.announce(None)

    def announce(self, address: str | None) -> None:
        """Say in the lock file where this process listens."""
        self._write(self._announced._replace(address=address))

    def admits(self, secret: str) -> bool:
        """Was this read from the lock file? It is not there any more afterwards."""
        if not hmac.compare_digest(secret.encode(), self._announced.secret.encode()):
            return False
        self._write(self._announced._replace(secret=_new_secret()))
        return True

    def _write(self, holder: Holder) -> None:
        self._announced = holder
        line = json.dumps(holder._asdict()).encode() + b"\n"
        with storage_errors("the lock file was not written"):
            os.pwrite(self._descriptor, line, 0)
            os.ftruncate(self._descriptor, len(line))  # after: nobody ever finds the file empty


def _new_secret() -> str:
    return f"als_{secrets.token_urlsafe(32)}"


@contextmanager
def hold_folder(folder: Path) -> Iterator[FolderLock]:
    """Make the data folder if it is absent, and keep every other process out of it.

    The lock is given back when the block ends or the process dies, however it dies; a forked child
    would keep it, so children are spawned. Raises FolderLockedError, which names the holder.
    """
    descriptor = _open_lock(folder)
    try:
        _take(descriptor, folder)
        if DataFolder(folder).committer_lock.exists():
            with hold_committer_lock(folder):
                pass  # a server that was killed has left a process that finishes its last group
        try:
            yield FolderLock(descriptor)
        finally:
            os.ftruncate(descriptor, 0)  # the next one refused would be told of us
    finally:
        os.close(descriptor)


@contextmanager
def hold_build_lock(folder: Path) -> Iterator[None]:
    """Be the only one who builds tables in this folder; waits for a builder that is dying.

    It outlives its server by an instant, and what it still writes would be in the next one's way.
    """
    with _hold(DataFolder(folder).build_lock):
        yield


@contextmanager
def hold_committer_lock(folder: Path) -> Iterator[None]:
    """Be the process that writes for the server of this folder; waits for one that is dying."""
    with _hold(DataFolder(folder).committer_lock):
        yield


@contextmanager
def _hold(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_lock(folder: Path) -> int:
    try:
        make_folder(folder)
        return os.open(DataFolder(folder).lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataFolderError(f"{folder} cannot be a data folder: {error.strerror}") from error


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FolderLockedError(f"{folder} is in use by {_holder(descriptor)}") from error
    except OSError as error:
        raise DataFolderError(f"{folder} cannot be locked: {error.strerror}") from error


def holder_of(folder: Path) -> Holder | None:
    """Who has this data folder, as far as its lock file says; None if nobody does."""
    try:
        return _read_holder(DataFolder(folder).lock.read_bytes())
    except OSError:
        return None


def _read_holder(lock: bytes) -> Holder | None:
    try:
        return Holder(**json.loads(lock.partition(b"\n")[0]))
    except (ValueError, TypeError):  # its holder has just begun, or was of another release
        return None


def _holder(descriptor: int) -> str:
    holder = _read_holder(os.pread(descriptor, 4096, 0))
    if holder is None:
        return "a process that is only starting"
    where = f"at {holder.address}" if holder.address else "at no address"
    return f"process {holder.pid}, which serves it {where}"
