"""Find a database that is older than the write-ahead log beside it: SQLite would mix the two.

It happens when `ledger.db` alone is restored from a backup. The format is in "WAL-mode File Format"
of SQLite's documentation.
"""

from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final

from asset_ledger.ledger.errors import DataFolderError

_WAL_HEADER: Final = Struct("!8I")  # magic, format, page size, checkpoint, salts, checksums
_FRAME_HEADER: Final = Struct("!6I")  # page, pages of the database if a commit, salts, checksums
_MAGIC: Final = (0x377F0682, 0x377F0683)
_FREE_PAGES_AT: Final = 36
"""Where page 1 has the number of free pages. A free page may be in neither file."""


def check_wal(database: Path) -> None:
    """Raise DataFolderError if pages of the last transaction are in neither of the two files.

    A database that only grows has each page in its file or in its WAL. Reads 24 bytes a page.
    """
    wal = database.with_name(f"{database.name}-wal")
    if not wal.exists() or not database.exists():
        return
    with wal.open("rb") as file:
        found = _committed(file)
    if found is None:
        return
    page_size, pages, written, free = found
    stored = database.stat().st_size // page_size
    if free is None:
        free = _number_at(database, _FREE_PAGES_AT)
    missing = sum(page not in written for page in range(stored + 1, pages + 1))
    if missing > free:
        raise DataFolderError(
            f"{database} is older than {wal.name} beside it: restore both from one backup, or"
            f" remove {wal.name} to go back to what the database has"
        )


def _committed(file: BinaryIO) -> tuple[int, int, set[int], int | None] | None:
    """Return page size, pages of the database, pages in the WAL, and free pages if page 1 is among
    them, as of the last commit; None without a commit."""
    header = file.read(_WAL_HEADER.size)
    if len(header) < _WAL_HEADER.size:
        return None
    magic, _, page_size, _, *salts, _, _ = _WAL_HEADER.unpack(header)
    if magic not in _MAGIC or not page_size:
        return None
    pages, written, since, free = 0, set[int](), set[int](), None
    new_free: int | None = None
    while len(head := file.read(_FRAME_HEADER.size)) == _FRAME_HEADER.size:
        page, committed, *frame_salts, _, _ = _FRAME_HEADER.unpack(head)
        if frame_salts != salts:
            break  # of an earlier use of the file
        start = file.tell()
        if page == 1:
            file.seek(start + _FREE_PAGES_AT)
            new_free = int.from_bytes(file.read(4), "big")
        since.add(page)
        if committed:
            written |= since
            pages, free, since = committed, new_free, set()
        file.seek(start + page_size)
    return (page_size, pages, written, free) if pages else None


def _number_at(database: Path, offset: int) -> int:
    with database.open("rb") as file:
        file.seek(offset)
        return int.from_bytes(file.read(4), "big")
