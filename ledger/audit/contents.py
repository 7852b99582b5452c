"""The audit of contents: the bytes of each must have the digest that is its name.

A content that no event names is no finding: an interrupted write may have left it. Nor is one that
a collection moves or removes meanwhile: `audit.rows` compares what was read with the events.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.audit.rows import AuditRows
from asset_ledger.ledger.content.offline import place_now, url_now
from asset_ledger.ledger.content.packs import PackReader
from asset_ledger.ledger.content.places import Place, place_of
from asset_ledger.ledger.errors import CorruptLogError
from asset_ledger.ledger.ids import Digest, digest_from_hex
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.object_store import ObjectReader
from asset_ledger.ledger.storage.sqlite import open_reader

_OBJECTS: Final = "SELECT digest, url, size FROM objects"


class ContentAudit:
    """An audit of every content in a folder. `read`: the number of contents read so far.

    `rows`: None if the log, which has the places of small contents, cannot be read. Without
    `reads_stores`, contents in object stores count as read.
    """

    def __init__(
        self,
        files: ContentFolder,
        rows: AuditRows | None,
        progress: Progress,
        *,
        reads_stores: bool = True,
    ) -> None:
        self._files, self._packs, self._reads_stores = files, PackReader(files), reads_stores
        self._rows, self._progress, self._store = rows, progress, ObjectReader()
        self.read = 0

    def findings(self) -> Iterator[Finding]:
        """Read every content, and yield what is wrong."""
        with closing(self._packs):
            try:
                if self._rows is not None:
                    yield from self._read_packed(self._rows)
            except sqlite3.DatabaseError as error:
                yield Finding("ledger.db", "contents", f"cannot be read: {error}")
        yield from self._read_objects()
        try:
            if self._rows is not None:
                yield from self._read_stored()
        except sqlite3.DatabaseError as error:
            yield Finding("ledger.db", "objects", f"cannot be read: {error}")

    def _read_packed(self, rows: AuditRows) -> Iterator[Finding]:
        """Read each record that has a place, pack by pack. What has no place is no content."""
        total = rows.note_places()
        for page in rows.places():
            for row in page:
                yield from self._packed_content(place_of(row))
            self._progress("reading contents", self.read, total)

    def _packed_content(self, place: Place) -> Iterator[Finding]:
        self.read += 1
        try:
            content = self._packs.read_moving(place, partial(place_now, self._files))
        except OSError as error:
            yield Finding("contents", place.digest, f"cannot be read: {error.strerror}")
            return
        except CorruptLogError:
            yield Finding("contents", place.digest, f"is not in pack {place.pack} at its place")
            return
        if content is not None and not self._is_first(place.digest, place.size):
            yield Finding("contents", place.digest, "is kept twice")

    def _is_first(self, digest: Digest, size: int) -> bool:
        return self._rows is None or self._rows.note_content(digest, size)

    def _read_stored(self) -> Iterator[Finding]:
        """Read each object that has a row, after the files: one from before there was a store may
        have the same content."""
        with closing(open_reader(self._files.log)) as db:
            for digest, url, size in db.execute(_OBJECTS):
                self.read += 1
                problem = self._object_problem(digest_from_hex(digest.hex()), url, size)
                if problem:
                    yield Finding("objects", url, problem)
                self._progress("reading contents", self.read, self.read)

    def _object_problem(self, digest: Digest, url: str, size: int) -> str | None:
        if not self._reads_stores:
            self._is_first(digest, size)
            return None
        hashed, read = hashlib.sha256(), 0
        try:
            for piece in self._store.pieces(url):
                hashed.update(piece)
                read += len(piece)
        except OSError as error:
            is_gone = isinstance(error, FileNotFoundError) and not url_now(self._files, digest)
            return None if is_gone else f"cannot be read: {error.strerror or error}"
        self._is_first(digest, read)
        if read != size or digest_from_hex(hashed.hexdigest()) != digest:
            return f"its {read:,} bytes have the SHA-256 {hashed.hexdigest()}"
        return None

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
        except FileNotFoundError:
            return
        except OSError as error:
            yield Finding("content/objects", where, f"cannot be read: {error.strerror}")
            return
        if path != self._files.object(digest):
            name = digest.removeprefix("sha256:")
            yield Finding("content/objects", where, f"its bytes have the SHA-256 {name}")
        elif not self._is_first(digest, size):
            yield Finding("content/objects", where, "is kept twice")


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, with one folder's names in memory at a time."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir():
            yield from _files(path)
        else:
            yield path
