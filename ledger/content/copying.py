"""Copy contents from one folder to another: each checked by its digest, durable, and stored once.

Small contents go into packs, whatever the packs of the source are, and large ones into files.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedWriter
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from asset_ledger.ledger.content.offline import OfflineContents
from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.content.places import (
    CONTENTS_TABLE,
    Place,
    find_places,
    insert_places,
)
from asset_ledger.ledger.content.reading import PIECE
from asset_ledger.ledger.content.store import SMALL
from asset_ledger.ledger.errors import CorruptLogError
from asset_ledger.ledger.ids import Digest, digest_from_hex
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.files import make_folder, sync_folder
from asset_ledger.ledger.storage.sqlite import open_writer, transaction

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

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class ContentCopier:
    """Copies contents from `source` to `target`, whose places are in `places`.

    `copied` and `size`: the number of contents that it copied, and their bytes.
    """

    def __init__(self, source: ContentFolder, target: ContentFolder, places: PlacesStore) -> None:
        """Open both. Raises sqlite3.Error or OSError."""
        self._source, self._target, self._places = source, target, places
        self._contents = OfflineContents(source)
        make_folder(target.arriving)
        self._packs = Packs(target)
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
        self._packs.close()
        self._contents.close()

    def _copy_small(self, digests: Sequence[Digest]) -> list[Digest]:
        """Copy these small contents. Return those that neither folder has."""
        found, stored = self._read(digests), self._places.places(digests)
        new = self._packs.append(found, stored)
        self._places.keep_places(new)
        self.copied += len(new)
        self.size += sum(place.size for place in new)
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
        target = self._target.object(digest)
        if not (target.is_file() and target.stat().st_size == size):
            try:
                self._copy_file(digest, target)
            except FileNotFoundError:
                yield Missing(digest, size, "is missing")
                return
            except CorruptLogError as error:
                yield Missing(digest, size, str(error))
                return
            self.copied, self.size = self.copied + 1, self.size + size
        for folder in target.parents[:3]:
            sync_folder(folder)  # also for an existing file: its copier may have been killed

    def _copy_file(self, digest: Digest, target: Path) -> None:
        draft, hashed = self._target.arriving / target.name, hashlib.sha256()
        with self._source.object(digest).open("rb") as file, _create(draft) as copy:
            while piece := file.read(PIECE):
                hashed.update(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        if digest_from_hex(hashed.hexdigest()) != digest:
            draft.unlink()
            raise CorruptLogError("has other bytes now")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.rename(target)


def _create(path: Path) -> BufferedWriter:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
