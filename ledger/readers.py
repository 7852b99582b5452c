"""Read-only connections to one file: lent to threads, or shared by an event loop.

Promise: readers never wait for the writer, and what is being read stays whole through a `swap`.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Final

import aiosqlite

from ledger.brief import BriefReader
from ledger.sqlite import READER, open_reader, read_only


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
    for brief statements."""

    def __init__(self, pool: "_Pool") -> None:
        self._pool = pool

    @classmethod
    async def open(
        cls, path: Path, size: int = 4, clock: Callable[[], float] = time.perf_counter
    ) -> "AsyncReaders":
        """Connect `size` readers to an existing file, and those for read transactions.

        `clock` answers seconds: by it a brief statement is found slow.
        """
        brief = await asyncio.to_thread(BriefReader, path, clock)
        connections = [await _connect(path) for _ in range(size + SNAPSHOTS)]
        return cls(_Pool(brief, connections[:size], connections[size:]))

    def snapshot(self) -> AbstractAsyncContextManager[aiosqlite.Connection]:
        """A connection inside a read transaction: its statements see the same rows."""
        return self._pool.snapshot()

    def rows(
        self, sql: str, parameters: Sequence[Any] = (), brief: bool = False
    ) -> Awaitable[list[Any]]:
        """All rows of one statement.

        It is run by a thread, at the price of the way there and back. One that is `brief`, because
        an index leads it to at most some two hundred rows, is run on the event loop instead, which
        it holds up for two milliseconds at most, as long as such statements prove quick
        (`ledger.brief` says what is promised).
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


class _Pool:
    """The connections to one file, and how many wait at each."""

    def __init__(
        self,
        brief: BriefReader,
        shared: Sequence[aiosqlite.Connection],
        own: Sequence[aiosqlite.Connection],
    ) -> None:
        self._brief = brief
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

    async def brief_rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        rows = self._brief.rows(sql, parameters)
        if rows is None:
            return await self.rows(sql, parameters)
        await asyncio.sleep(0)  # else who reads in a loop would let nobody run beside him
        return rows

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
        self._brief.close()
        for db in (*self._waiting, *self._own):
            await db.close()


async def _connect(path: Path) -> aiosqlite.Connection:
    db = await aiosqlite.connect(read_only(path), uri=True, isolation_level=None)
    for setting in READER:
        await db.execute_fetchall(f"PRAGMA {setting}")
    return db
