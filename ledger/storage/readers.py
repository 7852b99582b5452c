"""Read-only connections to one file: lent to threads, or shared by an event loop.

Promise: readers never wait for the writer, and what is being read stays whole through a `swap`.
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
    """Read-only connections for the event loop: aiosqlite's, each with a thread, and the loop's own
    for brief statements. Each is opened by the first statement that needs it."""

    def __init__(
        self, path: Path, size: int = 4, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """`size` readers of one file at most, and those for read transactions.

        `clock` answers seconds: by it a brief statement is found slow.
        """
        self._pool = _Pool(path, size, clock)

    def snapshot(self) -> AbstractAsyncContextManager[aiosqlite.Connection]:
        """A connection inside a read transaction: its statements see the same rows."""
        return self._pool.snapshot()

    def rows(
        self, sql: str, parameters: Sequence[Any] = (), brief: bool = False
    ) -> Awaitable[list[Any]]:
        """All rows of one statement. Raises sqlite3.Error, also if there is no file.

        It is run by a thread, at the price of the way there and back. One that is `brief`, because
        an index leads it to at most some two hundred rows, is run on the event loop instead, which
        it holds up for two milliseconds at most, as long as such statements prove quick
        (`asset_ledger.ledger.storage.brief_reader` says what is promised).
        """
        return self._pool.brief_rows(sql, parameters) if brief else self._pool.rows(sql, parameters)

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


class _Connection(aiosqlite.Connection):
    """A connection that tells when its thread has stopped, also where it was never open."""

    stopped: asyncio.Future[object] | None = None

    def stop(self) -> asyncio.Future[object] | None:
        self.stopped = super().stop()
        return self.stopped


class _Reader:
    """A connection with a thread, opened by whoever comes first; `waiting` counts who waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Lock()
        self._db: aiosqlite.Connection | None = None
        self._given_up: set[asyncio.Future[object]] = set()
        self._closed = False
        self.waiting = 0

    async def connection(self) -> aiosqlite.Connection:
        """It, open. Raises sqlite3.Error where it cannot be opened: who comes next tries again."""
        async with self._turn:
            if self._closed:  # a thread that nobody ends would keep the interpreter from exiting
                raise sqlite3.ProgrammingError(f"{self._path.name} is read no more")
            if self._db is None:
                self._db = await self._open()
            return self._db

    async def _open(self) -> aiosqlite.Connection:
        db = _Connection(partial(open_reader, self._path), iter_chunk_size=1)
        try:
            return await db
        except BaseException:  # also who is cancelled: the thread goes on until the file is open
            if db.stopped is not None:
                self._given_up.add(db.stopped)
                db.stopped.add_done_callback(self._given_up.discard)
            raise

    async def close(self) -> None:
        async with self._turn:
            self._closed = True
            if self._db is not None:
                await self._db.close()
            if self._given_up:  # their threads answer this loop, which may be closed after this
                await asyncio.wait(self._given_up)


class _Pool:
    """The connections to one file."""

    def __init__(self, path: Path, size: int, clock: Callable[[], float]) -> None:
        self._brief = BriefReader(path, clock)
        self._shared = [_Reader(path) for _ in range(size)]
        self._own = [_Reader(path) for _ in range(SNAPSHOTS)]
        self._free: asyncio.LifoQueue[_Reader] = asyncio.LifoQueue()
        for reader in self._own:
            self._free.put_nowait(reader)
        self._users = 0
        self._left = asyncio.Event()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[aiosqlite.Connection]:
        with self._used():
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
            self._left.set()

    async def brief_rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        rows = self._brief.rows(sql, parameters)
        if rows is None:
            return await self.rows(sql, parameters)
        await asyncio.sleep(0)  # else who reads in a loop would let nobody run beside him
        return rows

    def _next(self) -> _Reader:
        """The first reader with room before it, else the one where the fewest wait."""
        for reader in self._shared:
            if reader.waiting < DEPTH:
                return reader
        return min(self._shared, key=attrgetter("waiting"))

    @contextmanager
    def _used(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self._left.set()

    async def drain(self) -> None:
        while self._users or any(reader.waiting for reader in self._shared):
            self._left.clear()
            await self._left.wait()

    async def close(self) -> None:
        self._brief.close()
        for reader in (*self._shared, *self._own):
            await reader.close()
