"""The audit of contents: the bytes of each must have the digest that is its name.

A content that no event names is no finding: an interrupted write may have left it.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.ids import digest_from_hex, digest_of
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.sqlite import open_reader, spell_out

NoteContent = Callable[[str, int], bool]
"""Note a digest and a size; return False if that digest was noted before."""

PAGE: Final = 100
"""Packed contents to read at once, of 64 KiB at most each."""

_PACKED: Final = """SELECT rowid, digest, bytes FROM contents
    WHERE rowid >= ? ORDER BY rowid LIMIT ?"""
_SMALLEST: Final = -(2**63)


class ContentAudit:
    """An audit of every content in a folder. `read`: the number of contents read so far."""

    def __init__(self, files: ContentFolder, note: NoteContent, progress: Progress) -> None:
        self._files = files
        self._note, self._progress = note, progress
        self.read = 0

    def findings(self) -> Iterator[Finding]:
        """Read every content, and yield what is wrong."""
        try:
            with closing(open_reader(self._files.packed)) as db:
                db.text_factory = spell_out
                yield from self._read_packed(db)
        except sqlite3.Error as error:
            yield Finding("content/packed.db", "as a file", str(error))
        yield from self._read_objects()

    def _read_packed(self, db: sqlite3.Connection) -> Iterator[Finding]:
        (total,) = db.execute("SELECT count(*) FROM contents").fetchone()
        start = _SMALLEST
        while rows := db.execute(_PACKED, (start, PAGE)).fetchall():
            for _, *row in rows:
                yield from self._packed_content(*row)
            start = rows[-1][0] + 1
            self._progress("reading contents", self.read, max(total, self.read))
        for (result,) in db.execute("PRAGMA integrity_check").fetchmany(PAGE):
            if result != "ok":
                yield Finding("content/packed.db", "as a file", str(result))

    def _packed_content(self, name: Any, content: Any) -> Iterator[Finding]:
        self.read += 1
        if not isinstance(name, str) or not isinstance(content, bytes):
            yield Finding("contents", str(name), "a column has another type")
        elif name != digest_of(content):
            yield Finding("contents", name, "its bytes have another digest")
        elif not self._note(name, len(content)):
            yield Finding("contents", name, "is kept twice")

    def _read_objects(self) -> Iterator[Finding]:
        total = self.read + sum(1 for _ in _files(self._files.objects))
        for path in _files(self._files.objects):
            yield from self._object(path)
            self._progress("reading contents", self.read, max(total, self.read))

    def _object(self, path: Path) -> Iterator[Finding]:
        self.read += 1
        where = path.relative_to(self._files.objects).as_posix()
        try:
            with path.open("rb") as file:
                digest = digest_from_hex(hashlib.file_digest(file, "sha256").hexdigest())
                size = file.tell()
        except OSError as error:
            yield Finding("content/objects", where, f"cannot be read: {error.strerror}")
            return
        if path != self._files.object(digest):
            name = digest.removeprefix("sha256:")
            yield Finding("content/objects", where, f"its bytes have the SHA-256 {name}")
        elif not self._note(digest, size):
            yield Finding("content/objects", where, "is kept twice")


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, with one folder's names in memory at a time."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir():
            yield from _files(path)
        else:
            yield path
