"""Ways to damage the files of a data folder."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

PAGE: Final = 4096

Damage = Callable[[Path], object]


def content_file(data_dir: Path, large: bool) -> Path:
    """Return the file of the only large content, or the only pack."""
    pattern = "objects/*/*/*" if large else "packs/*.pack"
    (path,) = (data_dir / "content").glob(pattern)
    return path


def flip(at: int) -> Damage:
    """Change one bit of the byte at an offset."""

    def flipped(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)

    return flipped


def shorten(size: int) -> Damage:
    return lambda path: os.truncate(path, size)


def lengthen(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b"A" * 50)


def make_unreadable(path: Path) -> None:
    """Replace a file by a folder: root, too, cannot read it as a file."""
    path.unlink()
    path.mkdir()


def damage_table(path: Path, table: str) -> None:
    """Overwrite the first page of a table and of each of its indexes."""
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT rootpage FROM sqlite_master WHERE tbl_name = ? AND rootpage > 0"
        pages = [page for (page,) in db.execute(query, (table,))]
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(b"\xa5" * PAGE)
