"""Contents of a data folder, read beside the process that has it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from ledger.content.reading import PIECE
from ledger.errors import DataFolderError
from ledger.ids import Digest
from ledger.sqlite import open_reader

_FIND: Final = "SELECT bytes FROM contents WHERE digest = ?"


def pieces_of(folder: Path, digest: Digest) -> Iterator[bytes]:
    """A content, at most 1 MiB at once. Raises DataFolderError if it cannot be read."""
    name = digest.removeprefix("sha256:")
    try:
        with closing(open_reader(folder / "packed.db")) as db:
            packed = db.execute(_FIND, (digest,)).fetchone()
        if packed is not None:
            yield packed[0]
            return
        with (folder / "objects" / name[:2] / name[2:4] / name).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except (OSError, sqlite3.Error) as error:
        raise DataFolderError(f"the content {digest} cannot be read: {error}") from error
