"""Contents of a data folder, for commands that run beside its server or without one."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from asset_ledger.ledger.content.packs import PackReader
from asset_ledger.ledger.content.places import COLLECTED_AT, Place, find_places, key_of
from asset_ledger.ledger.content.reading import PIECE
from asset_ledger.ledger.errors import ContentCollectedError, DataFolderError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.sqlite import open_reader


def pieces_of(files: ContentFolder, digest: Digest) -> Iterator[bytes]:
    """Yield a content in pieces of at most 1 MiB; the caller checks its digest.

    Raises DataFolderError if it is unreadable, ContentCollectedError if it was collected.
    """
    try:
        with closing(OfflineContents(files)) as contents:
            packed = contents.packed([digest])
            when = None if packed else contents.collected(digest)
        if when is not None and not files.object(digest).is_file():
            raise ContentCollectedError(digest, when)
        if packed:
            yield packed[digest]
            return
        with files.object(digest).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except (OSError, sqlite3.Error) as error:
        raise DataFolderError(f"the content {digest} cannot be read: {error}") from error


class OfflineContents:
    """Reads many contents of a folder at a time. Raises sqlite3.Error or OSError if it cannot."""

    def __init__(self, files: ContentFolder) -> None:
        self._files, self._packs = files, PackReader(files)
        self._db = open_reader(files.log)

    def packed(self, digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
        """Return those of these contents that are packed: at most 64 KiB each.

        Raises CorruptLogError if a pack was changed.
        """
        return {place.digest: self._packs.read(place) for place in self._places(digests)}

    def sizes(self, digests: Sequence[Digest]) -> dict[Digest, int]:
        """Return the size in bytes of each of these contents that exists."""
        sizes = {place.digest: place.size for place in self._places(digests)}
        for digest in digests:
            if digest not in sizes and (file := self._files.object(digest)).is_file():
                sizes[digest] = file.stat().st_size
        return sizes

    def collected(self, digest: Digest) -> str | None:
        """Return when a content was collected; None if it was not."""
        row = self._db.execute(COLLECTED_AT, (key_of(digest),)).fetchone()
        return str(row[0]) if row else None

    def close(self) -> None:
        """Close the files."""
        self._db.close()
        self._packs.close()

    def _places(self, digests: Sequence[Digest]) -> Iterable[Place]:
        def rows(sql: str, parameters: Sequence[Any]) -> list[Any]:
            return self._db.execute(sql, parameters).fetchall()

        return find_places(rows, digests).values()
