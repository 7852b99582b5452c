"""Read-only connections to one file: lent to threads, or shared by an event loop.

Promise: readers never wait for the writer, and a `swap` does not disturb reads under way.
"""

import asyncio
import logging
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from queue import Empty, LifoQueue
from threading import get_native_id
from typing import Any, Final

import aiosqlite

from asset_ledger.ledger.errors import LogDamagedError, TablesDamagedError
from asset_ledger.ledger.storage.brief_reader import BriefReader
from asset_ledger.ledger.storage.database import Damage, Snapshot
from asset_ledger.ledger.storage.sqlite import is_fatal, is_interrupted, open_reader
from asset_ledger.ledger.storage.turns import Rests, Turns, deadline, threads_each

logger = logging.getLogger(__name__)


class SqliteReaders:
    """Read-only connections for threads: `connection` lends one to the calling thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: LifoQueue[sqlite3.Connection] = LifoQueue()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection until the block ends."""
        try:
            db = self._free.get_nowait()
        except Empty:
            db = open_reader(self._path)
        try:
            yield db
        finally:
            self._free.put(db)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of one statement, which is finished by then."""
        with self.connection() as db:
            return db.execute(sql, parameters).fetchall()

    def rows_upto(self, max_bytes: int, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """Return rows until the sum of the bytes in their last columns reaches `max_bytes`."""
        found: list[Any] = []
        size = 0
        with self.connection() as db, closing(db.execute(sql, parameters)) as cursor:
            for row in cursor:
                found.append(row)
                size += len(row[-1])
                if size >= max_bytes:
                    break
        return found

    def close(self) -> None:
        """Close the connections that are not lent."""
        while not self._free.empty():
            self._free.get_nowait().close()


DEPTH: Final = 8
"""Statements that wait at one connection before the next connection is used: a few busy threads
contend less for the GIL than many half-idle ones (benchmarks/pages.py)."""
QUICK: Final = 0.1
"""Seconds after which a statement that others wait behind is interrupted. It begins again at a
connection for slow ones, where users take turns."""
SLOW: Final = 4
"""Connections for slow statements."""
EACH: Final = 2
"""The most of them that one user has, with four processors or more."""
REST: Final = 10.0
"""Seconds after a slow statement in which all of its user's statements begin as slow ones."""
NICE: Final = 5
"""How much lower the priority of threads for slow statements is, for the event loop's sake."""
SNAPSHOTS: Final = 2
"""Read transactions that can be open at the same time; one user has at most one."""


class AsyncSqliteReaders:
    """Read-only connections for the event loop: aiosqlite's, each with a thread, and one on the
    loop itself for brief statements. Each is opened by the first statement that needs it.

    Promise: a statement never waits long behind slow ones of another user, and none outlives the
    budget of its task (`storage.turns`), or its caller.
    """

    def __init__(
        self,
        path: Path,
        size: int = 4,
        clock: Callable[[], float] = time.perf_counter,
        *,
        of_tables: bool = True,
    ) -> None:
        """Use at most `size` threads, besides those for read transactions.

        `clock` returns seconds, to find slow brief statements. `of_tables`: the file has tables,
        which can be rebuilt; else it is the log.
        """
        damaged = TablesDamagedError if of_tables else LogDamagedError
        self._pool = _Pool(path, size, BriefReader(path, clock, mapped=of_tables), damaged)

    @property
    def damage(self) -> Damage | None:
        """The error of the first statement that found the file damaged; None if none did."""
        return self._pool.damage

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Lend a connection inside a read transaction: its statements see the same rows."""
        return self._pool.snapshot()

    def rows(
        self, sql: str, parameters: Sequence[Any] = (), brief: bool = False
    ) -> Awaitable[list[Any]]:
        """Return all rows of one statement. Raises sqlite3.Error, also if there is no file,
        TablesDamagedError or LogDamagedError, DeadlineExceededError and BusyError.

        A thread runs it. If `brief`, the event loop runs it, without the cost of a thread hop: an
        index must lead to about two hundred rows at most. It blocks the loop for two milliseconds
        at most (`storage.brief_reader` has the promise).
        """
        return self._pool.brief_rows(sql, parameters) if brief else self._pool.rows(sql, parameters)

    def swap(self, other: "AsyncSqliteReaders") -> None:
        """Exchange files with other readers.

        Reads under way continue on their old file: `drain` the other readers before closing them.
        """
        self._pool, other._pool = other._pool, self._pool

    async def drain(self) -> None:
        """Wait until no read is under way."""
        await self._pool.drain()

    async def close(self) -> None:
        """Close every connection: aiosqlite's threads would keep the interpreter from exiting."""
        await self._pool.close()


CACHE: Final = 512
"""KiB of pages in memory for a connection: ten for each file would keep 2 MiB each, which the
operating system keeps, too."""
SORTED: Final = 2_048
"""KiB of a connection for slow statements, which sort that much in memory: a page of 1 MiB. With
less it goes to a temporary file, and so many writes delay the fsyncs of commits."""


def _open_small(path: Path, cache: int = CACHE) -> sqlite3.Connection:
    db = open_reader(path)
    db.execute(f"PRAGMA cache_size=-{cache}")
    return db


def _open_slow(path: Path) -> sqlite3.Connection:
    """Open a connection, and lower the priority of the calling thread for good."""
    if sys.platform == "linux":  # elsewhere a thread has none of its own
        os.setpriority(os.PRIO_PROCESS, get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICE)
    return _open_small(path, SORTED)


class _Connection(aiosqlite.Connection):
    """A connection that reports when its thread has stopped, even if it was never open."""

    stopped: asyncio.Future[object] | None = None

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=1)
        # Without memory a thread may start and report that it did not: nothing would stop it.
        self._thread.daemon = True

    def stop(self) -> asyncio.Future[object] | None:
        self.stopped = super().stop()
        return self.stopped

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return list(await self.execute_fetchall(sql, parameters))

    def interrupt_now(self) -> None:
        """Have the statement that runs, if any, raise SQLITE_INTERRUPT in its thread."""
        if self._connection is not None:
            self._connection.interrupt()


class _Reader:
    """A connection with a thread, opened by its first caller; `waiting` counts the callers of
    `quick`."""

    def __init__(self, path: Path, opened: Callable[[Path], sqlite3.Connection]) -> None:
        self._path, self._opened = path, opened
        self._lock = asyncio.Lock()
        self._db: _Connection | None = None
        self._late: asyncio.TimerHandle | None = None
        self._stopping: set[asyncio.Future[object]] = set()
        self._closed = False
        self.waiting = 0

    async def quick(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """Return all rows; interrupt the statement after `QUICK`, for those that wait behind it."""
        self.waiting += 1
        if self.waiting == 1:
            self._time_the_next()
        try:
            db = await self.connection()
            if self._late is None:  # the connection was opened just now
                self._time_the_next()
            return await db.rows(sql, parameters)
        finally:
            self.waiting -= 1
            self._time_the_next()

    async def slow(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """Return all rows. If the caller is cancelled, end only when the thread has."""
        db = await self.connection()
        read = asyncio.ensure_future(db.rows(sql, parameters))
        try:
            return await asyncio.shield(read)
        except asyncio.CancelledError:
            db.interrupt_now()
            await asyncio.gather(read, return_exceptions=True)
            raise

    def _time_the_next(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = None
        if self.waiting and self._db is not None:
            self._late = asyncio.get_running_loop().call_later(QUICK, self._db.interrupt_now)

    async def connection(self) -> _Connection:
        """Return the open connection. Raises sqlite3.Error; the next call opens it again."""
        async with self._lock:
            if self._closed:  # a thread that is never stopped keeps the interpreter from exiting
                raise sqlite3.ProgrammingError(f"the readers of {self._path.name} are closed")
            if self._db is None:
                self._db = await self._open()
            return self._db

    async def _open(self) -> _Connection:
        db = _Connection(partial(self._opened, self._path))
        try:
            await db
            return db
        except BaseException:  # a cancelled caller's thread runs on until the file is open
            if db.stopped is not None:
                self._stopping.add(db.stopped)
                db.stopped.add_done_callback(self._stopping.discard)
            raise

    async def close(self) -> None:
        async with self._lock:
            self._closed = True
            if self._db is not None:
                await self._db.close()
            if self._stopping:  # else their threads would call a closed event loop
                await asyncio.wait(self._stopping)


class _Pool:
    """The connections to one file."""

    def __init__(
        self, path: Path, size: int, brief: BriefReader, damaged: Callable[[str, object], Damage]
    ) -> None:
        self._path, self._brief, self._damaged = path, brief, damaged
        self.damage: Damage | None = None
        self._shared = [_Reader(path, _open_small) for _ in range(size)]
        self._slow = [_Reader(path, _open_slow) for _ in range(SLOW)]
        self._exclusive = [_Reader(path, _open_slow) for _ in range(SNAPSHOTS)]
        self._all = (*self._shared, *self._slow, *self._exclusive)
        self._slow_turns, self._turns = Turns(SLOW, threads_each(EACH)), Turns(SNAPSHOTS, 1)
        self._rests = Rests()
        self._apart = 0
        self._finished = asyncio.Event()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        try:
            async with self._lend(self._exclusive, self._turns) as reader:
                db = await reader.connection()
                await db.execute_fetchall("BEGIN")
                try:
                    yield db
                except BaseException:
                    db.interrupt_now()
                    raise
                finally:
                    await db.execute_fetchall("ROLLBACK")
        except sqlite3.DatabaseError as error:
            self._name_damage(error)
            raise

    async def rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        try:
            return await self._rows(sql, parameters)
        except sqlite3.DatabaseError as error:
            self._name_damage(error)
            raise

    async def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        if time.monotonic() >= self._rests.until:
            try:
                return await self._next().quick(sql, parameters)
            except sqlite3.OperationalError as error:
                if not is_interrupted(error):
                    raise
            finally:
                self._finished.set()
            self._rests.until = time.monotonic() + REST
        async with self._lend(self._slow, self._slow_turns) as reader:
            return await reader.slow(sql, parameters)

    async def brief_rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        try:
            rows = self._brief.rows(sql, parameters)
        except sqlite3.DatabaseError as error:
            self._name_damage(error)
            raise
        if rows is None:
            return await self.rows(sql, parameters)
        await asyncio.sleep(0)  # else a task that reads in a loop would starve all others
        return rows

    def _next(self) -> _Reader:
        """Return the first reader with fewer than `DEPTH` callers, else the one with the fewest."""
        for reader in self._shared:
            if reader.waiting < DEPTH:
                return reader
        return min(self._shared, key=attrgetter("waiting"))

    def _name_damage(self, error: sqlite3.DatabaseError) -> None:
        """Raise the error of a damaged file for damage, and log the first one."""
        if not is_fatal(error):
            return
        damaged = self._damaged(self._path.name, error)
        if self.damage is None:
            self.damage = damaged
            logger.error("%s", damaged)
        raise damaged from error

    @asynccontextmanager
    async def _lend(self, free: list[_Reader], turns: Turns) -> AsyncIterator[_Reader]:
        """Wait for a turn of the user, and lend a connection of these, until the deadline."""
        self._apart += 1
        try:
            async with deadline(), turns.take():
                reader = free.pop()
                try:
                    yield reader
                finally:
                    free.append(reader)
        finally:
            self._apart -= 1
            self._finished.set()

    async def drain(self) -> None:
        while self._apart or any(reader.waiting for reader in self._shared):
            self._finished.clear()
            await self._finished.wait()

    async def close(self) -> None:
        self._brief.close()
        for reader in self._all:
            await reader.close()
