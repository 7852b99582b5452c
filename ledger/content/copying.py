"""Copy contents from one place to another: each checked by its digest, durable, and stored once.

In a folder, small contents go into packs, whatever the packs of the source are, and large ones into
files.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedWriter
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from asset_ledger.ledger.content.offline import OfflineContents
from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.content.places import (
    CONTENTS_TABLE,
    Place,
    find_places,
    insert_places,
    key_of,
)
from asset_ledger.ledger.content.reading import pieces_of_file
from asset_ledger.ledger.content.store import SMALL
from asset_ledger.ledger.errors import CorruptLogError
from asset_ledger.ledger.ids import Digest, digest_from_hex
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.files import make_folder, sync_folder
from asset_ledger.ledger.storage.sqlite import open_writer, transaction

_FORGET: Final = "DELETE FROM contents WHERE digest = ?"

AT_ONCE: Final = 100
"""Small contents that are in memory together: at most 6.5 MB."""


class Missing(NamedTuple):
    """A content that was not copied: its digest and size, and what is wrong in the source."""

    digest: Digest
    size: int
    reason: str


class PlacesStore(Protocol):
    """Stores the places of small contents. A log does; `PlacesFile` is a file of them alone."""

    def places(self, digests: Sequence[Digest]) -> dict[Digest, Place]:
        """Return the places of those of these contents that are packed."""

    def keep_places(self, places: Sequence[Place]) -> None:
        """Store these places, durably."""


class PlacesFile:
    """The places of small contents in a file of their own."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made if absent."""
        self._db = open_writer(path, "FULL")
        self._db.execute(CONTENTS_TABLE)

    def places(self, digests: Sequence[Digest]) -> dict[Digest, Place]:
        """Return the places of those of these contents that are packed."""
        return find_places(lambda *query: self._db.execute(*query).fetchall(), digests)

    def keep_places(self, places: Sequence[Place]) -> None:
        """Store these places, durably."""
        with transaction(self._db) as db:
            insert_places(db, places)

    def forget(self, places: Iterable[Place]) -> None:
        """Delete these places, durably."""
        with transaction(self._db) as db:
            db.executemany(_FORGET, [(key_of(place.digest),) for place in places])

    def copy(self, target: Path) -> None:
        """Copy the file to a new one, which is one file without a WAL."""
        self._db.execute("VACUUM INTO ?", (str(target),))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class Lender(Protocol):
    """Reads large contents by digest."""

    def pieces(self, digest: Digest) -> Iterator[bytes]:
        """Yield a content in pieces. Raises FileNotFoundError, CorruptLogError if its file cannot
        be read, OSError if its store fails."""


class LargeContents(Lender, Protocol):
    """Stores large contents by digest, for a copier that reads or writes them."""

    def has(self, digest: Digest, size: int) -> bool:
        """Return whether a content of this size is there, durably."""

    def write(self, digest: Digest, size: int, pieces: Iterator[bytes]) -> None:
        """Store a content durably, once the last piece is read. Raises OSError."""

    def delete(self, digest: Digest) -> int:
        """Delete a content, if it is there. Return its bytes."""


class LargeFiles:
    """`LargeContents` in a folder, a file each."""

    def __init__(self, files: ContentFolder) -> None:
        self._files = files

    def pieces(self, digest: Digest) -> Iterator[bytes]:
        """Yield a content in pieces. Raises FileNotFoundError, CorruptLogError."""
        return pieces_of_file(self._files.object(digest))

    def has(self, digest: Digest, size: int) -> bool:
        """Return whether a content of this size is there, durably."""
        file = self._files.object(digest)
        if not (file.is_file() and file.stat().st_size == size):
            return False
        self._sync_names(file)  # its copier may have been killed
        return True

    def write(self, digest: Digest, size: int, pieces: Iterator[bytes]) -> None:
        """Store a content durably, once the last piece is read. Raises OSError."""
        target = self._files.object(digest)
        make_folder(self._files.arriving)
        draft = self._files.arriving / target.name
        try:
            with _create(draft) as copy:
                copy.writelines(pieces)
                copy.flush()
                os.fsync(copy.fileno())
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.rename(target)
        self._sync_names(target)

    def delete(self, digest: Digest) -> int:
        """Delete a content, if it is there. Return its bytes."""
        file = self._files.object(digest)
        size = file.stat().st_size if file.is_file() else 0
        file.unlink(missing_ok=True)
        return size

    def _sync_names(self, file: Path) -> None:
        for folder in file.parents[:3]:
            sync_folder(folder)


class SmallWriter(Protocol):
    """Stores small contents by digest, for a copier that writes them."""

    def stored(self, digests: Sequence[Digest]) -> Mapping[Digest, Any]:
        """Return those of these contents that are stored, each with its place."""

    def write(self, contents: Mapping[Digest, bytes], stored: Mapping[Digest, Any]) -> list[int]:
        """Store contents durably, except those that are at their `stored` place.

        Return the sizes of the new ones.
        """

    def close(self) -> None:
        """Close the files."""


class PackWriter:
    """`SmallWriter` in the packs of a folder."""

    def __init__(self, files: ContentFolder, places: PlacesStore) -> None:
        """Open the packs. Raises OSError."""
        self._packs, self._places = Packs(files), places

    def stored(self, digests: Sequence[Digest]) -> Mapping[Digest, Place]:
        """Return the places of those of these contents that are packed."""
        return self._places.places(digests)

    def write(self, contents: Mapping[Digest, bytes], stored: Mapping[Digest, Place]) -> list[int]:
        """Store contents durably, except those that are at their `stored` place."""
        new = self._packs.append(contents, stored)
        self._places.keep_places(new)
        return [place.size for place in new]

    def close(self) -> None:
        """Close the packs."""
        self._packs.close()


class ContentCopier:
    """Copies contents from `source` to `small` and `large`.

    `lender` has the large contents of the source, if the source itself does not. `copied` and
    `size`: the number of contents that it copied, and their bytes. `repairs`: small contents that
    the target lost are copied again. It closes the source and the target at its end.
    """

    def __init__(
        self,
        source: OfflineContents,
        small: SmallWriter,
        large: LargeContents,
        *,
        lender: Lender | None = None,
        repairs: bool = True,
    ) -> None:
        self._contents, self._small, self._large = source, small, large
        self._lender, self._repairs = lender or source, repairs
        self.copied = self.size = 0

    def copy(self, sizes: Mapping[Digest, int]) -> Iterator[Missing]:
        """Copy these contents, unless the target has them. Yield each that cannot be copied."""
        small = {digest: size for digest, size in sizes.items() if size <= SMALL}
        digests = list(small)
        for start in range(0, len(digests), AT_ONCE):
            for digest in self._copy_small(digests[start : start + AT_ONCE]):
                yield Missing(digest, small[digest], "is missing or damaged")
        for digest, size in sizes.items():
            if size > SMALL:
                yield from self._copy_large(digest, size)

    def close(self) -> None:
        """Close the files."""
        self._small.close()
        self._contents.close()

    def _copy_small(self, digests: Sequence[Digest]) -> list[Digest]:
        """Copy these small contents. Return those that neither place has."""
        stored = self._small.stored(digests)
        found = self._read([d for d in digests if self._repairs or d not in stored])
        new = self._small.write(found, stored if self._repairs else {})
        self.copied += len(new)
        self.size += sum(new)
        return [digest for digest in digests if digest not in found and digest not in stored]

    def _read(self, digests: Iterable[Digest]) -> dict[Digest, bytes]:
        """Return those of these small contents that the source has undamaged."""
        digests = list(digests)
        try:
            return dict(self._contents.packed(digests))
        except (CorruptLogError, OSError, sqlite3.Error):
            if len(digests) == 1:
                return {}
        return {digest: one for each in digests for digest, one in self._read([each]).items()}

    def _copy_large(self, digest: Digest, size: int) -> Iterator[Missing]:
        if self._large.has(digest, size):
            return
        try:
            self._large.write(digest, size, _checked(digest, self._lender.pieces(digest)))
        except FileNotFoundError:
            yield Missing(digest, size, "is missing")
        except CorruptLogError as error:
            yield Missing(digest, size, str(error))
        else:
            self.copied, self.size = self.copied + 1, self.size + size


def _checked(digest: Digest, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield these pieces. Raises CorruptLogError at the end if they have another digest."""
    hashed = hashlib.sha256()
    for piece in pieces:
        hashed.update(piece)
        yield piece
    if digest_from_hex(hashed.hexdigest()) != digest:
        raise CorruptLogError("has other bytes now")


def _create(path: Path) -> BufferedWriter:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
