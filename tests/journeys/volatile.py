"""A FUSE file system that loses what was not synced, as a disk without power does.

`python -m tests.journeys.volatile STORE MOUNT [IGNORED...]` shows the folder STORE at MOUNT and
keeps every change in memory. The attribute `user.cut` of MOUNT, set to "SEED CHANGES", lets that
many more changes happen, and cuts the power then: every later call fails with EIO, and STORE has
what survived. That is what was synced, and a random part of the rest: writes are torn at sectors of
512 bytes and reordered, names are those of any moment since the sync of their folder. A sync of a
path with one of the IGNORED parts does nothing: the controls of the tests, which have to fail.

The attribute `user.errors` of MOUNT, such as "write EROFS,sync EIO", lets calls of these kinds fail
(`read`, `write`, `sync`) until it is set to "".
"""

import errno
import logging
import os
import random
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import mfusepy

SECTOR: Final = 512
CUT: Final = "user.cut"
ERRORS: Final = "user.errors"
HIDDEN: Final = ".fuse_hidden"
"""How libfuse names a removed file that is still open."""


class File:
    """Bytes as programs see them, as they were synced, and the changes since then."""

    def __init__(self, content: bytes = b"", mode: int = 0o600) -> None:
        self.mode, self.changed_at = mode, time.time()
        self.live, self.synced = bytearray(content), bytes(content)
        self._changes: list[tuple[int, bytes] | int] = []

    def write(self, offset: int, data: bytes) -> None:
        """Write at an offset; a gap reads as zeros."""
        _write(self.live, offset, data)
        self._changes.append((offset, bytes(data)))

    def truncate(self, size: int) -> None:
        """Set the size."""
        _truncate(self.live, size)
        self._changes.append(size)

    def sync(self) -> None:
        """Make all changes durable."""
        if self._changes:
            self.synced = bytes(self.live)
            self._changes.clear()

    def survivor(self, dice: random.Random) -> bytes:
        """Return what is left after a power cut."""
        left, share = bytearray(self.synced), dice.choice((0.0, 0.5, 0.9, 1.0))
        for change in self._changes:
            if isinstance(change, int):
                if dice.random() < share:
                    _truncate(left, change)
                continue
            for offset, sector in _sectors(*change):
                if dice.random() < share:
                    _write(left, offset, sector)
        return bytes(left)


class Folder:
    """Names as programs see them, and by name what it was since the last sync, oldest first."""

    def __init__(self, mode: int = 0o700) -> None:
        self.mode, self.changed_at = mode, time.time()
        self.live: dict[str, File | Folder] = {}
        self._since: dict[str, list[File | Folder | None]] = {}

    def put(self, name: str, node: "File | Folder | None") -> None:
        """Let a name stand for a file or a folder, or for nothing."""
        self._since.setdefault(name, [self.live.get(name)]).append(node)
        if node is None:
            self.live.pop(name, None)
        else:
            self.live[name] = node

    def sync(self) -> None:
        """Make all names durable."""
        self._since.clear()

    def survivor(self, dice: random.Random) -> "dict[str, File | Folder]":
        """Return the names that are left after a power cut."""
        left: dict[str, File | Folder | None] = {**self.live}
        for name, states in self._since.items():
            left[name] = dice.choice(states)
        return {name: node for name, node in left.items() if node}


class Volatile(mfusepy.Operations):  # type: ignore[misc]
    """The file system. Every call runs in one thread."""

    use_ns = True

    def __init__(self, store: Path, ignored: list[str]) -> None:
        self._store, self._ignored = store, ignored
        self._root = _load(store)
        self._open: dict[int, File] = {}
        self._seed, self._left = "", -1
        self._is_dead = False
        self._errors: dict[str, int] = {}
        self._places: dict[File | Folder, list[tuple[Folder, str]]] = {}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        self._check_power()
        node = self._open[fh] if fh else self._node(path)
        kind, size = (
            (stat.S_IFREG, len(node.live)) if isinstance(node, File) else (stat.S_IFDIR, 4096)
        )
        when = node.changed_at
        return {
            "st_mode": kind | node.mode,
            "st_nlink": 1,
            "st_size": size,
            "st_blocks": -(-size // 512),
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            **dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), int(when * 1e9)),
        }

    def readdir(self, path: str, fh: int) -> list[str]:
        self._check_power()
        return [".", "..", *self._folder(path).live]

    def mkdir(self, path: str, mode: int) -> int:
        self._change(*self._parent(path), Folder(mode & 0o7777))
        return 0

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
        if name == CUT:
            self._seed, left = value.decode().split()
            self._left = int(left)
            self._check_cut()
        elif name == ERRORS:
            kinds = [each.split() for each in value.decode().split(",") if each]
            self._errors = {kind: getattr(errno, code) for kind, code in kinds}
        else:
            raise mfusepy.FuseOSError(errno.ENOTSUP)
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        folder, name = self._parent(path)
        file = File(mode=mode & 0o7777)
        self._change(folder, name, file)
        return self._opened(file)

    def open(self, path: str, flags: int) -> int:
        file = self._file(path)
        if flags & os.O_TRUNC:
            self._check("write")
            file.truncate(0)
        return self._opened(file)

    def release(self, path: str, fh: int) -> int:
        self._open.pop(fh, None)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        self._check("read")
        return bytes(self._open[fh].live[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._check("write")
        self._open[fh].write(offset, data)
        self._open[fh].changed_at = time.time()
        self._check_cut()
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        self._check("write")
        file = self._open[fh] if fh else self._file(path)
        file.truncate(length)
        self._check_cut()
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._check("sync")
        if not any(part in path for part in self._ignored):
            self._open[fh].sync()
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self._check("sync")
        folder = self._folder(path)
        if not any(part in f"{path}/" for part in self._ignored):
            folder.sync()
        return 0

    def rename(self, old: str, new: str) -> int:
        (source, before), (target, after) = self._parent(old), self._parent(new)
        self._check("write")
        node = self._node(old)
        places = self._places.setdefault(node, [(source, before)])
        places.append((target, after))
        source.put(before, None)
        self._change(target, after, node)
        return 0

    def unlink(self, path: str) -> int:
        self._file(path)
        self._change(*self._parent(path), None)
        return 0

    def rmdir(self, path: str) -> int:
        if self._folder(path).live:
            raise mfusepy.FuseOSError(errno.ENOTEMPTY)
        self._change(*self._parent(path), None)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        self._node(path).mode = mode & 0o7777
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        self._node(path)
        return 0

    def utimens(self, path: str, times: Any = None) -> int:
        self._node(path)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        return {"f_bsize": 4096, "f_frsize": 4096} | dict.fromkeys(
            ("f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree"), 1 << 22
        )

    def _change(self, folder: Folder, name: str, node: File | Folder | None) -> None:
        self._check("write")
        folder.put(name, node)
        self._check_cut()

    def _opened(self, file: File) -> int:
        handle = max(self._open, default=0) + 1
        self._open[handle] = file
        return handle

    def _check(self, kind: str) -> None:
        """Raise the error of a kind of calls."""
        self._check_power()
        if kind in self._errors:
            raise mfusepy.FuseOSError(self._errors[kind])

    def _check_power(self) -> None:
        if self._is_dead:
            raise mfusepy.FuseOSError(errno.EIO)

    def _check_cut(self) -> None:
        """Count a change, and cut the power at the chosen one."""
        if self._left == 0:
            self._is_dead = True
            left = _Survivors(random.Random(self._seed), self._places)
            left.save(self._root, self._store)
        self._left -= 1

    def _node(self, path: str) -> File | Folder:
        self._check_power()
        node: File | Folder | None = self._root
        for name in path.strip("/").split("/"):
            if name and isinstance(node, Folder):
                node = node.live.get(name)
        if node is None:
            raise mfusepy.FuseOSError(errno.ENOENT)
        return node

    def _file(self, path: str) -> File:
        node = self._node(path)
        if not isinstance(node, File):
            raise mfusepy.FuseOSError(errno.EISDIR)
        return node

    def _folder(self, path: str) -> Folder:
        node = self._node(path)
        if not isinstance(node, Folder):
            raise mfusepy.FuseOSError(errno.ENOTDIR)
        return node

    def _parent(self, path: str) -> tuple[Folder, str]:
        head, _, name = path.rpartition("/")
        return self._folder(head), name


def _write(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _truncate(content: bytearray, size: int) -> None:
    content.extend(bytes(max(0, size - len(content))))
    del content[size:]


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Split a write where sectors begin."""
    at = 0
    while at < len(data):
        end = min(len(data), at + SECTOR - (offset + at) % SECTOR)
        yield offset + at, data[at:end]
        at = end


def _load(source: Path) -> Folder:
    """Return a folder of the disk, all of it synced."""
    folder = Folder(stat.S_IMODE(source.stat().st_mode))
    for path in source.iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        folder.live[path.name] = _load(path) if path.is_dir() else File(path.read_bytes(), mode)
    return folder


class _Survivors:
    """What is left of a tree of folders. `places`: every name of what was renamed.

    A rename is undone, or done, or leaves both names: it never loses a file, as on every file
    system with a journal.
    """

    def __init__(
        self, dice: random.Random, places: Mapping[File | Folder, Sequence[tuple[Folder, str]]]
    ) -> None:
        self._dice, self._places = dice, places
        self._names: dict[Folder, dict[str, File | Folder]] = {}
        self._bytes: dict[File, bytes] = {}

    def save(self, root: Folder, store: Path) -> None:
        """Replace a folder of the disk by what survived, in one step."""
        self._choose(root)
        for node, places in self._places.items():
            folder, name = places[-1]
            is_left = any(self._names.get(f, {}).get(n) is node for f, n in places)
            if folder.live.get(name) is node and not is_left and folder in self._names:
                self._names[folder][name] = node
                self._choose(node)
        new = store.with_name(f"{store.name}.new")
        self._save(root, new)
        shutil.rmtree(store)
        new.rename(store)

    def _choose(self, node: File | Folder) -> None:
        if isinstance(node, Folder) and node not in self._names:
            self._names[node] = node.survivor(self._dice)
            for each in self._names[node].values():
                self._choose(each)

    def _save(self, folder: Folder, path: Path) -> None:
        path.mkdir(mode=folder.mode)
        for name, node in self._names[folder].items():
            if isinstance(node, Folder):
                self._save(node, path / name)
            elif HIDDEN not in name:
                if node not in self._bytes:  # it may have survived under two names
                    self._bytes[node] = node.survivor(self._dice)
                (path / name).write_bytes(self._bytes[node])
                (path / name).chmod(node.mode)


def main() -> None:
    """Serve until unmounted."""
    logging.disable(logging.ERROR)  # a call that fails is reported with its traceback
    store, mount, *ignored = sys.argv[1:]
    mfusepy.FUSE(Volatile(Path(store), ignored), mount, foreground=True, nothreads=True)


if __name__ == "__main__":
    main()
