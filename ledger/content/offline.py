"""Contents of a data folder, for commands that run beside its server or without one."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Final

import orjson

from asset_ledger.ledger.content.packed import FIND
from asset_ledger.ledger.content.reading import PIECE
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.sqlite import open_reader

_PACKED: Final = """SELECT digest, bytes FROM json_each(?)
    CROSS JOIN contents ON contents.digest = json_each.value"""
_SIZES: Final = """SELECT digest, length(bytes) FROM json_each(?)
    CROSS JOIN contents ON contents.digest = json_each.value"""


def pieces_of(files: ContentFolder, digest: Digest) -> Iterator[bytes]:
    """Yield a content in pieces of at most 1 MiB. Raises DataFolderError if it is unreadable."""
    try:
        with closing(open_reader(files.packed)) as db:
            packed = db.execute(FIND, (digest,)).fetchone()
        if packed is not None:
            yield packed[0]
            return
        with files.object(digest).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except (OSError, sqlite3.Error) as error:
        raise DataFolderError(f"the content {digest} cannot be read: {error}") from error


class OfflineContents:
    """Reads many contents of a folder at a time. Raises sqlite3.Error if they are unreadable."""

    def __init__(self, files: ContentFolder) -> None:
        self._files = files
        self._db = open_reader(files.packed)

    def packed(self, digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
        """Return those of these contents that are packed: at most 64 KiB each."""
        return dict(self._db.execute(_PACKED, (_json(digests),)).fetchall())

    def sizes(self, digests: Sequence[Digest]) -> dict[Digest, int]:
        """Return the size in bytes of each of these contents that exists."""
        sizes: dict[Digest, int] = dict(self._db.execute(_SIZES, (_json(digests),)).fetchall())
        for digest in digests:
            if digest not in sizes and (file := self._files.object(digest)).is_file():
                sizes[digest] = file.stat().st_size
        return sizes

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _json(digests: Sequence[Digest]) -> str:
    return orjson.dumps(digests).decode()
