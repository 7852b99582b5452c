"""SQLite connections: how a file is opened for its one writer and for its readers.

One connection per file commits and checkpoints; all others are read-only. SQLite before 3.51.3 can
corrupt a WAL file if two connections commit and checkpoint at once.
"""

import os
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
"""Pages in the WAL before a checkpoint. Groups rewrite the same index pages and a checkpoint writes
each once, so fewer checkpoints write less. Up to 4,062 pages, one table indexes the WAL."""

RESTORE: Final = "Keep a copy of it, and restore the data folder from a backup"
"""What to do with a damaged file that cannot be rebuilt."""

BESIDE: Final = ("-wal", "-shm", "-journal")
"""Suffixes of the files that a kill leaves beside a database. A new one has a journal before its
WAL."""


def open_writer(
    path: Path,
    synchronous: Synchronous,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    """Open the connection that commits to this file, made if absent, in autocommit mode.

    It waits half a second for another program's lock, because callers wait meanwhile.
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
    """Raise `refusal` for a damaged database, with its path and the `remedy`."""
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
    """Keep statement journals in memory, for a connection that commits many small transactions.

    Else SQLite makes and deletes a temporary file for each group.
    """
    db.execute("PRAGMA temp_store=MEMORY")
    return db


def read_only(path: Path) -> str:
    """Return the URI that opens, or attaches, an existing file read-only."""
    return f"{path.absolute().as_uri()}?mode=ro"


READER: Final = ("query_only=ON", "recursive_triggers=ON")
"""The settings of every connection that only reads."""


def open_reader(path: Path, timeout: float = 5.0) -> sqlite3.Connection:
    """Open an existing file read-only. Raises sqlite3.Error if it is absent.

    The connection waits `timeout` seconds for another program's lock.
    """
    uri = read_only(path) + ("&immutable=1" if _is_at_rest(path) else "")
    db = sqlite3.connect(
        uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    return _set(db, READER)


def _is_at_rest(path: Path) -> bool:
    """Return whether nothing writes to a file: it was closed, and its disk is read-only.

    Else SQLite would have to make a file beside it, and could not.
    """
    if os.access(path.parent, os.W_OK):
        return False
    return not any(path.with_name(path.name + suffix).exists() for suffix in BESIDE)


def spell_out(text: bytes) -> str:
    """Decode damaged text for audits, escaping bytes that are not UTF-8 (a `text_factory`)."""
    return text.decode("utf-8", "backslashreplace")


def open_scratch(path: Path, read: Mapping[str, Path]) -> sqlite3.Connection:
    """Open a new scratch file, and attach the files of `read` by their names, read-only."""
    db = sqlite3.connect(path, uri=True, isolation_level=None)
    db.text_factory = spell_out
    try:
        for name, other in read.items():
            db.execute(f"ATTACH ? AS {name}", (read_only(other),))
    except sqlite3.Error:
        db.close()
        raise
    # The scratch file is deleted after use: it needs no journal and no fsync.
    return _set(db, ("main.journal_mode=OFF", "main.synchronous=OFF", "temp_store=FILE"))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run the block between BEGIN IMMEDIATE and COMMIT. On an error, roll back and reraise it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite rolls back by itself after some I/O errors
            db.execute("ROLLBACK")
        raise


_STEP: Final = 16
_LONGEST: Final = 64
_VALUES: Final = re.compile(r"\bVALUES\s*(\([?\d,\s]+\))")


def insert_rows(db: sqlite3.Connection, sql: str, rows: Sequence[Sequence[Any]]) -> int | None:
    """Run `INSERT ... VALUES (?, ?)` with many rows per statement; other SQL row by row.

    Return the rowid of the last row; None for other SQL. `executemany` releases the GIL at each
    row, and gets it back late beside a busy thread: a group of 8 events took a third less time
    with multi-row statements.
    """
    if not rows:
        return None
    if not _has_values(sql):
        db.executemany(sql, rows)
        return None
    start, last = 0, None
    while start < len(rows):
        size = _chunk(len(rows) - start)
        chunk = rows[start : start + size]
        values = [value for row in chunk for value in row]
        last = db.execute(_for_rows(sql, size), values).lastrowid
        start += size
    return last


def _chunk(rows: int) -> int:
    """Return the rows of the next statement. There are few sizes, as each is prepared once."""
    if rows < _STEP:
        return rows
    return min(rows // _STEP * _STEP, _LONGEST)


@lru_cache(maxsize=256)
def _has_values(sql: str) -> bool:
    return _VALUES.search(sql) is not None


@lru_cache(maxsize=256)
def _for_rows(sql: str, count: int) -> str:
    return _VALUES.sub(lambda values: "VALUES " + ", ".join([values[1]] * count), sql, count=1)


def is_fatal(error: Exception) -> bool:
    """Return whether the file or its disk has failed, so that no more may be written."""
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
    """Return whether the statement or its parameters are wrong, so that a retry cannot help."""
    return _code(error) in _STATEMENT_ERRORS


def storage_error(error: Exception) -> StorageFailedError:
    """Return the error for the caller of a write that failed in SQLite."""
    if _code(error) == sqlite3.SQLITE_FULL:
        return DiskFullError("the disk is full; nothing was recorded: free space, then retry")
    if is_fatal(error):
        return StorageFailedError(f"the disk failed ({error}); read-only until a restart")
    return StorageFailedError(f"the database refused the write: {error}")


def is_interrupted(error: sqlite3.Error) -> bool:
    """Return whether a statement ended early because its connection was interrupted."""
    return _code(error) == sqlite3.SQLITE_INTERRUPT


def _code(error: Exception) -> int:
    """Return SQLite's primary result code; SQLITE_ERROR for errors that Python itself raises."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
