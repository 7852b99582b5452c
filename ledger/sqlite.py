"""The one door to SQLite: how a file is opened for its one writer and for its readers.

One connection a file commits and checkpoints; every other is read-only. That is not taste: SQLite
before 3.51.3 can corrupt a WAL file when two connections commit and checkpoint at once.
"""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import lru_cache
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Final, Literal

import aiosqlite

from ledger.errors import DiskFullError, StorageFailedError

Synchronous = Literal["FULL", "NORMAL", "OFF"]

WAL_PAGES: Final = 4_000
"""A checkpoint comes after so many pages. Every group writes pages of indexes again, a checkpoint
writes each once: less often is less. Up to 4,062 a reader finds its page in one table."""


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


def _set(db: sqlite3.Connection, settings: Sequence[str]) -> sqlite3.Connection:
    try:
        for setting in settings:
            db.execute(f"PRAGMA {setting}")
    except sqlite3.Error:
        db.close()
        raise
    return db


def read_only(path: Path) -> str:
    """The URI that opens, or attaches, an existing file to read it."""
    return f"{path.absolute().as_uri()}?mode=ro"


_READER = ("query_only=ON", "recursive_triggers=ON")


def open_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection to an existing file. Raises sqlite3.Error if there is none."""
    db = sqlite3.connect(read_only(path), uri=True, isolation_level=None, check_same_thread=False)
    return _set(db, _READER)


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
    thread each time it gets it back late: a group of 8 facts took a third less like this.
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


_STATEMENTS_OWN: Final = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)


def is_statements_own(error: sqlite3.Error) -> bool:
    """Whether a statement is at fault, or its parameters: no other moment would do better."""
    return _code(error) in _STATEMENTS_OWN


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


class Readers:
    """Read-only connections for threads: each call of `connection` lends one to one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: LifoQueue[sqlite3.Connection] = LifoQueue()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection of this thread's own until the block ends."""
        try:
            db = self._free.get_nowait()
        except Empty:
            db = open_reader(self._path)
        try:
            yield db
        finally:
            self._free.put(db)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of one statement, which is finished before they are returned."""
        with self.connection() as db:
            return db.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Close the connections that nobody has borrowed."""
        while not self._free.empty():
            self._free.get_nowait().close()


DEPTH: Final = 8
"""How many statements may wait at one connection before the next one is used: a few busy threads
pass the GIL around less than many that idle half the time (benchmarks/read_path.py)."""
SNAPSHOTS: Final = 2
"""How many read transactions can be open at the same time."""


class AsyncReaders:
    """Read-only aiosqlite connections for the event loop: one thread hop a statement."""

    def __init__(self, pool: "_Pool") -> None:
        self._pool = pool

    @classmethod
    async def open(cls, path: Path, size: int = 4) -> "AsyncReaders":
        """Connect `size` readers to an existing file, and those for read transactions."""
        connections = [await _connect(path) for _ in range(size + SNAPSHOTS)]
        return cls(_Pool(connections[:size], connections[size:]))

    def snapshot(self) -> AbstractAsyncContextManager[aiosqlite.Connection]:
        """A connection inside a read transaction: its statements see the same rows."""
        return self._pool.snapshot()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Awaitable[list[Any]]:
        """All rows of one statement."""
        return self._pool.rows(sql, parameters)

    def swap(self, other: "AsyncReaders") -> None:
        """From here on read what the other one read, and the other way round.

        What is under way goes on where it began: `drain` the other one before it is closed.
        """
        self._pool, other._pool = other._pool, self._pool

    async def drain(self) -> None:
        """Return once nothing is read here any more."""
        await self._pool.drain()

    async def close(self) -> None:
        """Close every connection: aiosqlite's threads would keep the interpreter from exiting."""
        await self._pool.close()


class _Pool:
    """The connections to one file, and how many wait at each."""

    def __init__(
        self, shared: Sequence[aiosqlite.Connection], own: Sequence[aiosqlite.Connection]
    ) -> None:
        self._waiting = dict.fromkeys(shared, 0)
        self._own = tuple(own)
        self._free: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        for connection in own:
            self._free.put_nowait(connection)
        self._users = 0
        self._left = asyncio.Event()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[aiosqlite.Connection]:
        with self._used():
            db = await self._free.get()
            try:
                await db.execute_fetchall("BEGIN")
                try:
                    yield db
                finally:
                    await db.execute_fetchall("ROLLBACK")
            finally:
                self._free.put_nowait(db)

    async def rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        db = self._next()
        self._waiting[db] += 1
        try:
            return list(await db.execute_fetchall(sql, parameters))
        finally:
            self._waiting[db] -= 1
            self._left.set()

    def _next(self) -> aiosqlite.Connection:
        """The first connection with room before it, else the one where the fewest wait."""
        for db, waiting in self._waiting.items():
            if waiting < DEPTH:
                return db
        return min(self._waiting, key=self._waiting.__getitem__)

    @contextmanager
    def _used(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self._left.set()

    async def drain(self) -> None:
        while self._users or any(self._waiting.values()):
            self._left.clear()
            await self._left.wait()

    async def close(self) -> None:
        for db in (*self._waiting, *self._own):
            await db.close()


async def _connect(path: Path) -> aiosqlite.Connection:
    db = await aiosqlite.connect(read_only(path), uri=True, isolation_level=None)
    for setting in _READER:
        await db.execute_fetchall(f"PRAGMA {setting}")
    return db
