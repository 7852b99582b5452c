"""Contents of a data folder, for commands that run beside its server or without one."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

from asset_ledger.ledger.content.packs import PackReader
from asset_ledger.ledger.content.places import (
    COLLECTED_AT,
    FIND_OBJECT,
    Place,
    find_places,
    key_of,
)
from asset_ledger.ledger.content.reading import pieces_of_file
from asset_ledger.ledger.errors import ContentCollectedError, CorruptLogError, DataFolderError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.object_store import ObjectReader
from asset_ledger.ledger.storage.sqlite import open_reader

_HAS_OBJECTS: Final = "SELECT 1 FROM sqlite_master WHERE name = 'objects'"
_OBJECT_SIZE: Final = "SELECT size FROM objects WHERE digest = ?"


def place_now(files: ContentFolder, digest: Digest) -> Place | None:
    """Return where a small content is, as the log says now. Raises sqlite3.Error."""
    with closing(open_reader(files.log)) as db:
        return find_places(lambda *query: db.execute(*query).fetchall(), [digest]).get(digest)


def url_now(files: ContentFolder, digest: Digest) -> str | None:
    """Return the URL of a content in an object store, as the log says now. Raises sqlite3.Error."""
    with closing(open_reader(files.log)) as db:
        row = db.execute(FIND_OBJECT, (key_of(digest),)).fetchone()
    return row[0] if row else None


def pieces_of(files: ContentFolder, digest: Digest) -> Iterator[bytes]:
    """Yield a content in pieces of at most 1 MiB; the caller checks its digest.

    Raises DataFolderError if it is unreadable, ContentCollectedError if it was collected.
    """
    try:
        with closing(OfflineContents(files)) as contents:
            if packed := contents.packed([digest]):
                yield packed[digest]
                return
            if not contents.has_large(digest) and (when := contents.collected(digest)) is not None:
                raise ContentCollectedError(digest, when)
            yield from contents.pieces(digest)
    except CorruptLogError as error:
        raise DataFolderError(f"the content {digest}: {error}") from error
    except (OSError, sqlite3.Error) as error:
        raise DataFolderError(f"the content {digest} cannot be read: {error}") from error


class OfflineContents:
    """Reads many contents of a folder at a time. Raises sqlite3.Error or OSError if it cannot."""

    def __init__(self, files: ContentFolder) -> None:
        self._files, self._packs, self._objects = files, PackReader(files), ObjectReader()
        self._db = open_reader(files.log)
        # A backup has the places of small contents in a file without the other tables of a log.
        self._has_objects = bool(self._rows(_HAS_OBJECTS, ()))

    def packed(self, digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
        """Return those of these contents that are packed: at most 64 KiB each.

        Raises CorruptLogError if a pack was changed.
        """
        read = ((each.digest, self._read(each)) for each in self._places(digests))
        return {digest: content for digest, content in read if content is not None}

    def sizes(self, digests: Sequence[Digest]) -> dict[Digest, int]:
        """Return the size in bytes of each of these contents that exists."""
        sizes = self._small_sizes(digests)
        for digest in digests:
            if digest not in sizes and (size := self._large_size(digest)) is not None:
                sizes[digest] = size
        return sizes

    def has_large(self, digest: Digest) -> bool:
        """Return whether a large content is in an object store or in a file."""
        return self._large_size(digest) is not None

    def pieces(self, digest: Digest) -> Iterator[bytes]:
        """Yield a large content in pieces. See `Lender.pieces` for the errors."""
        if (url := self.url_of(digest)) is not None:
            return self._objects.pieces(url)
        return pieces_of_file(self._files.object(digest))

    def url_of(self, digest: Digest) -> str | None:
        """Return the URL of a content in an object store."""
        rows = self._rows(FIND_OBJECT, (key_of(digest),)) if self._has_objects else ()
        return rows[0][0] if rows else None

    def collected(self, digest: Digest) -> str | None:
        """Return when a content was collected; None if it was not."""
        rows = self._rows(COLLECTED_AT, (key_of(digest),))
        return str(rows[0][0]) if rows else None

    def close(self) -> None:
        """Close the files."""
        self._db.close()
        self._packs.close()

    def _read(self, place: Place) -> bytes | None:
        return self._packs.read_moving(place, self._place)

    def _place(self, digest: Digest) -> Place | None:
        return find_places(self._rows, [digest]).get(digest)

    def _large_size(self, digest: Digest) -> int | None:
        if self._has_objects and (rows := self._rows(_OBJECT_SIZE, (key_of(digest),))):
            return int(rows[0][0])
        file = self._files.object(digest)
        return file.stat().st_size if file.is_file() else None

    def _small_sizes(self, digests: Sequence[Digest]) -> dict[Digest, int]:
        return {place.digest: place.size for place in self._places(digests)}

    def _places(self, digests: Sequence[Digest]) -> Iterable[Place]:
        return find_places(self._rows, digests).values()

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        return self._db.execute(sql, parameters).fetchall()
