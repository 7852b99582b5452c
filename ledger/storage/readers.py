"""Read-only connections to one file: lent to threads, or shared by an event loop.

Promise: readers never wait for the writer, and a `swap` does not disturb reads under way.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Final

import aiosqlite

from asset_ledger.ledger.storage.brief_reader import BriefReader
from asset_ledger.ledger.storage.sqlite import open_reader


class Readers:
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

    def close(self) -> None:
        """Close the connections that are not lent."""
        while not self._free.empty():
            self._free.get_nowait().close()


DEPTH: Final = 8
"""Statements that wait at one connection before the next connection is used: a few busy threads
contend less for the GIL than many half-idle ones (benchmarks/read_path.py)."""
SNAPSHOTS: Final = 2
"""Read transactions that can be open at the same time."""


class AsyncReaders:
    """Read-only connections for the event loop: aiosqlite's, each with a thread, and one on the
    loop itself for brief statements. Each is opened by the first statement that needs it."""

    def __init__(
        self,
        path: Path,
        size: int = 4,
        clock: Callable[[], float] = time.perf_counter,
        *,
        mapped: bool = True,
    ) -> None:
        """Use at most `size` threads, besides those for read transactions.

        `clock` returns seconds, to find slow brief statements. `mapped`: see `BriefReader`.
        """
        self._pool = _Pool(path, size, BriefReader(path, clock, mapped))

    def snapshot(self) -> AbstractAsyncContextManager[aiosqlite.Connection]:
        """Lend a connection inside a read transaction: its statements see the same rows."""
        return self._pool.snapshot()

    def rows(
        self, sql: str, parameters: Sequence[Any] = (), brief: bool = False
    ) -> Awaitable[list[Any]]:
        """Return all rows of one statement. Raises sqlite3.Error, also if there is no file.

        A thread runs it. If `brief`, the event loop runs it, without the cost of a thread hop: an
        index must lead to about two hundred rows at most. It blocks the loop for two milliseconds
        at most (`storage.brief_reader` has the promise).
        """
        return self._pool.brief_rows(sql, parameters) if brief else self._pool.rows(sql, parameters)

    def swap(self, other: "AsyncReaders") -> None:
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


class _Connection(aiosqlite.Connection):
    """A connection that reports when its thread has stopped, even if it was never open."""

    stopped: asyncio.Future[object] | None = None

    def stop(self) -> asyncio.Future[object] | None:
        self.stopped = super().stop()
        return self.stopped


class _Reader:
    """A connection with a thread, opened by its first caller; `waiting` counts its callers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._db: aiosqlite.Connection | None = None
        self._stopping: set[asyncio.Future[object]] = set()
        self._closed = False
        self.waiting = 0

    async def connection(self) -> aiosqlite.Connection:
        """Return the open connection. Raises sqlite3.Error; the next call opens it again."""
        async with self._lock:
            if self._closed:  # a thread that is never stopped keeps the interpreter from exiting
                raise sqlite3.ProgrammingError(f"the readers of {self._path.name} are closed")
            if self._db is None:
                self._db = await self._open()
            return self._db

    async def _open(self) -> aiosqlite.Connection:
        db = _Connection(partial(open_reader, self._path), iter_chunk_size=1)
        try:
            return await db
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

    def __init__(self, path: Path, size: int, brief: BriefReader) -> None:
        self._brief = brief
        self._shared = [_Reader(path) for _ in range(size)]
        self._exclusive = [_Reader(path) for _ in range(SNAPSHOTS)]
        self._free: asyncio.LifoQueue[_Reader] = asyncio.LifoQueue()
        for reader in self._exclusive:
            self._free.put_nowait(reader)
        self._snapshots = 0
        self._finished = asyncio.Event()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[aiosqlite.Connection]:
        with self._counted():
            reader = await self._free.get()
            try:
                db = await reader.connection()
                await db.execute_fetchall("BEGIN")
                try:
                    yield db
                finally:
                    await db.execute_fetchall("ROLLBACK")
            finally:
                self._free.put_nowait(reader)

    async def rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        reader = self._next()
        reader.waiting += 1
        try:
            db = await reader.connection()
            return list(await db.execute_fetchall(sql, parameters))
        finally:
            reader.waiting -= 1
            self._finished.set()

    async def brief_rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        rows = self._brief.rows(sql, parameters)
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

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._snapshots += 1
        try:
            yield
        finally:
            self._snapshots -= 1
            self._finished.set()

    async def drain(self) -> None:
        while self._snapshots or any(reader.waiting for reader in self._shared):
            self._finished.clear()
            await self._finished.wait()

    async def close(self) -> None:
        self._brief.close()
        for reader in (*self._shared, *self._exclusive):
            await reader.close()
