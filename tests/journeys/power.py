"""A disk whose power can be cut, under a real server: see `volatile`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.journeys.server import until


def missing() -> str:
    """Return what this machine lacks for such a disk, or ""."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be opened"
    try:
        import mfusepy  # noqa: F401, PLC0415
    except (ImportError, OSError) as error:
        return f"FUSE is not installed: {error}"
    return ""


class Disk:
    """A folder that is mounted. `folder` is lost in part when the power is cut."""

    def __init__(self, root: Path, *ignored: str) -> None:
        self.folder, self._store, self._ignored = root / "disk", root / "store", ignored
        for path in (self.folder, self._store):
            path.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    def mount(self) -> None:
        """Show what is durable."""
        command = [sys.executable, "-m", "tests.journeys.volatile"]
        self._process = subprocess.Popen([*command, self._store, self.folder, *self._ignored])
        until(lambda: os.path.ismount(self.folder), "the disk is mounted")

    def cut_after(self, changes: int, seed: str) -> None:
        """Cut the power after so many more changes."""
        os.setxattr(self.folder, "user.cut", f"{seed} {changes}".encode())

    def fail(self, calls: str) -> None:
        """Let kinds of calls fail from now on, such as "write EROFS,sync EIO"; "": none."""
        os.setxattr(self.folder, "user.errors", calls.encode())

    @property
    def is_dead(self) -> bool:
        """Whether the power is cut."""
        try:
            list(self.folder.iterdir())
        except OSError:
            return True
        return False

    def unmount(self) -> None:
        """End the file system once no process uses it. What was not synced is lost."""
        if self._process is None:
            return
        command = ["fusermount3", "-u", str(self.folder)]
        until(
            lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0,
            "the disk is unmounted",
        )
        self._process.wait()
        self._process = None


@contextmanager
def disk(root: Path, *ignored: str) -> Iterator[Disk]:
    """Mount a disk in the block, which ignores syncs of paths with one of these parts."""
    if reason := missing():
        pytest.skip(f"no power cuts: {reason}")
    made = Disk(root, *ignored)
    made.mount()
    try:
        yield made
    finally:
        made.unmount()
