"""The lock that reserves a data folder for one process, and the secret in its lock file."""

import fcntl
import hmac
import json
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from asset_ledger.ledger.errors import DataFolderError, FolderLockedError, LedgerError
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.files import make_folder, storage_errors

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
"""The permissions that a data folder gives to no group and to no other user."""

logger = logging.getLogger(__name__)


DYING: Final = 60.0
"""Seconds that a process of an earlier server may take to finish its last group."""


class LockHolder(NamedTuple):
    """The process that holds a data folder, written into the lock file (mode 0600)."""

    pid: int
    address: str | None
    secret: str


class FolderLock:
    """The lock on a data folder. With its secret, a reader of the lock file acts as admin, once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._holder = LockHolder(os.getpid(), None, _new_secret())
        self.is_kept = False
        self.announce(None)

    def keep(self) -> None:
        """Keep the files that were made from here on, also if the block ends with an error."""
        self.is_kept = True

    def announce(self, address: str | None) -> None:
        """Write into the lock file where this process listens."""
        self._write(self._holder._replace(address=address))

    def admits(self, secret: str) -> bool:
        """Return whether this is the secret of the lock file. A correct secret is replaced."""
        if not hmac.compare_digest(secret.encode(), self._holder.secret.encode()):
            return False
        self._write(self._holder._replace(secret=_new_secret()))
        return True

    def _write(self, holder: LockHolder) -> None:
        self._holder = holder
        line = json.dumps(holder._asdict()).encode() + b"\n"
        with storage_errors("the lock file was not written"):
            os.pwrite(self._descriptor, line, 0)
            os.ftruncate(self._descriptor, len(line))  # after the write: no reader finds it empty


class SharedLock(FolderLock):
    """The lock of a folder that another process holds for several servers, this one among them.

    Each admits a caller with the secret in the lock file, and replaces the secret.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def admits(self, secret: str) -> bool:
        """Return whether this is the secret of the lock file. A correct secret is replaced."""
        with DataFolder(self._folder).lock.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)  # else two servers would admit one secret
            found = _read_holder(file.read())
            if found is None:
                return False
            self._descriptor, self._holder = file.fileno(), found
            return super().admits(secret)


def _new_secret() -> str:
    return f"als_{secrets.token_urlsafe(32)}"


@contextmanager
def hold_folder(folder: Path) -> Iterator[FolderLock]:
    """Make the data folder if it is absent, and lock every other process out of it.

    The lock is released when the block ends or the process dies. A forked child would keep it, so
    children are spawned. A block that is refused before `keep` leaves nothing that it made, the
    folder included. Raises FolderLockedError, which names the holder.
    """
    with _made(folder) as (descriptor, before):
        if DataFolder(folder).committer_lock.exists():
            with hold_committer_lock(folder):
                pass  # wait for the committer of a killed server, which finishes its last group
        lock = FolderLock(descriptor)
        try:
            yield lock
        except LedgerError:
            if not lock.is_kept:
                _remove_new(DataFolder(folder), before)
            raise
        finally:
            os.ftruncate(descriptor, 0)  # else a later refusal would name this process


def refuse_if_held(folder: Path) -> None:
    """Raise FolderLockedError if another process holds the folder. Make no file."""
    try:
        descriptor = os.open(DataFolder(folder).lock, os.O_RDONLY)
    except OSError:
        return
    try:
        _take(descriptor, folder)
    finally:
        os.close(descriptor)


@contextmanager
def hold_build_lock(folder: Path) -> Iterator[int]:
    """Hold the lock of the process that builds tables; wait for an earlier one that is dying.

    A rebuild outlives its server by an instant, and would write into the files of the next one.
    Yield its descriptor: a process that inherits it holds the lock, too. Raises FolderLockedError.
    """
    with _hold(DataFolder(folder).build_lock, "rebuild") as descriptor:
        yield descriptor


@contextmanager
def hold_committer_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of the process that commits; wait for an earlier one that is dying.

    Raises FolderLockedError.
    """
    with _hold(DataFolder(folder).committer_lock, "committer"):
        yield


@contextmanager
def hold_backup_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of the process that backs up a data folder. Raises FolderLockedError."""
    with open(os.open(DataFolder(folder).backup_lock, os.O_RDWR | os.O_CREAT, 0o600), "wb") as lock:
        if not _try(lock.fileno()):
            raise FolderLockedError(f"{folder} is being backed up by another process: wait for it")
        yield


@contextmanager
def _hold(path: Path, what: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for(descriptor, what)
        os.pwrite(descriptor, b"%-20d\n" % os.getpid(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, what: str) -> None:
    """Take a lock. Say which process has it; raise FolderLockedError if it keeps it."""
    began, is_said = time.monotonic(), False
    while not _try(descriptor):
        holder = f"process {os.pread(descriptor, 20, 0).decode().strip() or 'unknown'}"
        waited = time.monotonic() - began
        if waited > DYING:
            raise FolderLockedError(
                f"{holder}, the {what} of an earlier server, has not ended: is it stopped? End it"
                " with kill -9; it loses no acknowledged write"
            )
        if waited > 1 and not is_said:
            is_said = True
            logger.warning("waiting for %s, the %s of an earlier server, to end", holder, what)
        time.sleep(0.01)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _made(folder: Path) -> Iterator[tuple[int, set[Path]]]:
    """Yield the descriptor of the locked lock file, and the names that were there before.

    Remove the folders that were made for it, if they are empty after the block.
    """
    absent, descriptor = [], -1
    try:
        absent = [each for each in (folder, *folder.parents) if not each.exists()]
        make_folder(folder)
        _make_private(folder)
        descriptor, before = _open_lock(folder)
        yield descriptor, before
    except OSError as error:
        if descriptor >= 0:
            raise
        raise DataFolderError(f"{folder} cannot be a data folder: {error.strerror}") from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        for each in absent:
            with suppress(OSError):  # of one that is not empty
                each.rmdir()


def _open_lock(folder: Path) -> tuple[int, set[Path]]:
    files = DataFolder(folder)
    is_new = not files.lock.exists()
    descriptor = os.open(files.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, folder)
        if files.lock.exists() and os.path.samestat(os.fstat(descriptor), files.lock.stat()):
            return descriptor, files.names() - ({files.lock} if is_new else set())
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)  # a refused start has removed this file meanwhile
    return _open_lock(folder)


def _remove_new(files: DataFolder, before: set[Path]) -> None:
    """Remove what a refused start made; nothing of a log or an import that was there before."""
    new = files.names() - before
    if files.unfinished_log.exists():
        new &= {files.lock}
    if files.log in before:
        new.discard(files.key)  # the log may name it by now
    for path in sorted(new - {files.lock}, reverse=True):  # contents before their folder
        _remove(path, only_empty=path == files.content.root)
    if files.lock in new:  # last: until then it keeps other processes out
        files.lock.unlink(missing_ok=True)


def _remove(path: Path, *, only_empty: bool) -> None:
    if not path.is_dir():
        path.unlink(missing_ok=True)
    elif not only_empty:
        shutil.rmtree(path)
    else:
        with suppress(OSError):  # another program has put something there
            path.rmdir()


def _make_private(folder: Path) -> None:
    """Let only the owner enter an existing folder. Raises DataFolderError if that is impossible."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & OTHERS:
        return
    try:
        folder.chmod(mode & ~OTHERS)
    except PermissionError as error:
        raise DataFolderError(
            f"{folder} has the mode {mode:04o} and is another user's: name a folder inside it,"
            " which is made with the mode 0700"
        ) from error
    logger.warning("%s had the mode %04o; now only its owner can enter it", folder, mode)


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FolderLockedError(f"{folder} is in use by {_described(descriptor)}") from error
    except OSError as error:
        raise DataFolderError(f"{folder} cannot be locked: {error.strerror}") from error


def holder_of(folder: Path) -> LockHolder | None:
    """Return the process that holds this data folder, from its lock file; None if free."""
    try:
        return _read_holder(DataFolder(folder).lock.read_bytes())
    except OSError:
        return None


def _read_holder(lock: bytes) -> LockHolder | None:
    try:
        return LockHolder(**json.loads(lock.partition(b"\n")[0]))
    except (ValueError, TypeError):  # the holder has just started, or is of another release
        return None


def _described(descriptor: int) -> str:
    holder = _read_holder(os.pread(descriptor, 4096, 0))
    if holder is None:
        return "a process that is starting"
    if holder.address is None:
        return f"process {holder.pid}, which serves no address: wait until it ends"
    return f"process {holder.pid}, which serves it at {holder.address}"
