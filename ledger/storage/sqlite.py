"""The one door to SQLite: how a file is opened for its one writer and for its readers.

One connection a file commits and checkpoints; every other is read-only. That is not taste: SQLite
before 3.51.3 can corrupt a WAL file when two connections commit and checkpoint at once.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from asset_ledger.ledger.errors import DataFolderError, DiskFullError, StorageFailedError

Synchronous = Literal["FULL", "NORMAL", "OFF"]

WAL_PAGES: Final = 4_000
"""A checkpoint comes after so many pages. Every group writes pages of indexes again, a checkpoint
writes each once: less often is less. Up to 4,062 a reader finds its page in one table."""


RESTORE: Final = "Keep a copy of it, and restore the data folder from a backup"
"""What to do with a file that nothing can be made anew from."""

BESIDE: Final = ("-wal", "-shm", "-journal")
"""What a kill leaves beside a file, by how its name ends: one that is only being made has a journal
until it has a WAL."""


def open_writer(
    path: Path,
    synchronous: Synchronous,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    """The connection that commits to this file, made if absent; transactions are begun by hand.

    It waits half a second for a stranger's lock: whoever waits for an answer waits with it.
    """
    db = sqlite3.connect(
        path,
        timeout=0.5,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=factory,
    )
    # Without recursive_triggers a REPLACE deletes rows past the guards against DELETE.
    settings = ("journal_mode=WAL", f"synchronous={synchronous}", "recursive_triggers=ON")
    return _set(db, (*settings, f"wal_autocheckpoint={WAL_PAGES}"))


@contextmanager
def refusing_damage(
    path: Path, remedy: str, refusal: type[DataFolderError] = DataFolderError
) -> Iterator[None]:
    """Raises `refusal` for what is no database any more: which file it is, and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        if is_fatal(error):
            raise refusal(f"{path}: {error}. {remedy}") from error
        raise


def _set(db: sqlite3.Connection, settings: Sequence[str]) -> sqlite3.Connection:
    try:
        for setting in settings:
            db.execute(f"PRAGMA {setting}")
    except sqlite3.Error:
        db.close()
        raise
    return db


def expect_groups(db: sqlite3.Connection) -> sqlite3.Connection:
    """Have it take small transactions: what would undo a statement stays in memory.

    Else it goes into a temporary file, which is made and deleted for each group.
    """
    db.execute("PRAGMA temp_store=MEMORY")
    return db


def read_only(path: Path) -> str:
    """The URI that opens, or attaches, an existing file to read it."""
    return f"{path.absolute().as_uri()}?mode=ro"


READER: Final = ("query_only=ON", "recursive_triggers=ON")
"""The settings of every connection that only reads."""


def open_reader(path: Path, timeout: float = 5.0) -> sqlite3.Connection:
    """A read-only connection to an existing file. Raises sqlite3.Error if there is none.

    It waits `timeout` seconds for a stranger's lock.
    """
    db = sqlite3.connect(
        read_only(path), uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    return _set(db, READER)


def spell_out(text: bytes) -> str:
    """A `text_factory` for auditors, who read what others broke: bytes that are no UTF-8 show."""
    return text.decode("utf-8", "backslashreplace")


def open_scratch(path: Path, read: Mapping[str, Path]) -> sqlite3.Connection:
    """A new file for working notes, and beside it, by their names, files that are only read."""
    db = sqlite3.connect(path, uri=True, isolation_level=None)
    db.text_factory = spell_out
    try:
        for name, other in read.items():
            db.execute(f"ATTACH ? AS {name}", (read_only(other),))
    except sqlite3.Error:
        db.close()
        raise
    # Notes are thrown away: no journal, no fsync.
    return _set(db, ("main.journal_mode=OFF", "main.synchronous=OFF", "temp_store=FILE"))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK on any error, which is raised on."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # an I/O error may have rolled back by itself
            db.execute("ROLLBACK")
        raise


_STEP: Final = 16
_LONGEST: Final = 64
_VALUES: Final = re.compile(r"\bVALUES\s*(\([?\d,\s]+\))")


def insert_rows(db: sqlite3.Connection, sql: str, rows: Sequence[Sequence[Any]]) -> int | None:
    """Run `INSERT ... VALUES (?, ?)` for every row, many rows a statement; other SQL row by row.

    Answers the rowid of the last row, where it was inserted by such a statement.

    Each statement lets go of the GIL three times, `executemany` at each row, and beside a busy
    thread each time it gets it back late: a group of 8 events took a third less like this.
    """
    if not _VALUES.search(sql):
        db.executemany(sql, rows)
        return None
    start, last = 0, None
    while start < len(rows):
        size = _chunk(len(rows) - start)
        chunk = rows[start : start + size]
        last = db.execute(_of_rows(sql, size), [value for row in chunk for value in row]).lastrowid
        start += size
    return last


def _chunk(rows: int) -> int:
    """How many of so many rows go into one statement: few sizes, since each is prepared once."""
    if rows < _STEP:
        return rows
    return min(rows // _STEP * _STEP, _LONGEST)


@lru_cache(maxsize=256)
def _of_rows(sql: str, count: int) -> str:
    return _VALUES.sub(lambda values: "VALUES " + ", ".join([values[1]] * count), sql, count=1)


def is_fatal(error: sqlite3.Error) -> bool:
    """Whether the file or its disk can no longer be trusted: nothing more is written to it."""
    return _code(error) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


_STATEMENT_ERRORS: Final = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)


def is_statement_error(error: sqlite3.Error) -> bool:
    """Whether a statement is at fault, or its parameters: no other moment would do better."""
    return _code(error) in _STATEMENT_ERRORS


def storage_error(error: sqlite3.Error) -> StorageFailedError:
    """What to tell the caller of a write that SQLite failed."""
    if _code(error) == sqlite3.SQLITE_FULL:
        return DiskFullError("the disk is full; nothing was recorded")
    if is_fatal(error):
        return StorageFailedError(f"the disk failed ({error}); read-only until a restart")
    return StorageFailedError(f"the database refused the write: {error}")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; errors that Python itself raises have none."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
