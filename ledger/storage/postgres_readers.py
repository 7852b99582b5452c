"""Reads of PostgreSQL for the event loop, with connections of their own.

Promise: one user's slow statements never take the last connections. PostgreSQL cancels a statement
when the time of its task is over (`storage.turns`), or when its caller has gone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from asset_ledger.ledger.storage.database import Damage, Snapshot
from asset_ledger.ledger.storage.postgres import adapt, conninfo, settings, unreachable
from asset_ledger.ledger.storage.postgres_sql import translate
from asset_ledger.ledger.storage.postgres_waits import connect_async
from asset_ledger.ledger.storage.turns import Turns, deadline

T = TypeVar("T")

SIZE: Final = 4
"""Connections of one set of tables. One user has all but one of them at most."""
MAX_WAITING: Final = 1_000

_BEGIN: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ"


class _Reading:
    """An open connection, as a `Snapshot`."""

    def __init__(self, db: "psycopg.AsyncConnection[Any]") -> None:
        self.use(db)

    def use(self, db: "psycopg.AsyncConnection[Any]") -> None:
        """Read with this connection from now on, and with one cursor: a new one takes longer."""
        self.db, self._cursor = db, db.cursor()

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of one statement."""
        await self._cursor.execute(translate(sql), parameters or None, binary=True)
        return await self._cursor.fetchall()


class AsyncPostgresReaders:
    """An `AsyncReaders` of the tables in some schemas."""

    def __init__(self, url: str, schemas: Sequence[str]) -> None:
        self._pool = _Connections(url, schemas)

    @property
    def damage(self) -> Damage | None:
        """None: PostgreSQL's own tools find and repair damage."""
        return None

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Begin a read transaction, which ends with the block."""
        return self._pool.snapshot()

    async def rows(
        self, sql: str, parameters: Sequence[Any] = (), brief: bool = False
    ) -> list[Any]:
        """Return all rows of one statement. Raises StorageFailedError, DeadlineExceededError and
        BusyError."""
        return await self._pool.rows(sql, parameters)

    def swap(self, other: "AsyncPostgresReaders") -> None:
        """Exchange schemas with other readers. Reads under way continue in their old one."""
        self._pool, other._pool = other._pool, self._pool

    async def drain(self) -> None:
        """Wait until no read is under way."""
        await self._pool.drain()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()


class _Connections:
    """The connections to some schemas, opened by the reads that need them."""

    def __init__(self, url: str, schemas: Sequence[str]) -> None:
        self._url, self._schemas = url, schemas
        self._free: list[_Reading] = []
        self._turns = Turns(SIZE, SIZE - 1, "reads", MAX_WAITING)
        self._lent = 0
        self._returned = asyncio.Event()

    async def rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        self._lent += 1  # as in `snapshot`: a context manager for both takes 6 us more
        try:
            async with deadline():
                user, reading = await self._take()
                try:
                    return await self._again(reading, lambda: reading.rows(sql, parameters))
                finally:
                    await self._return(user, reading)
        except psycopg.OperationalError as error:
            raise unreachable(error) from error
        finally:
            self._end()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        self._lent += 1
        try:
            async with deadline():
                user, reading = await self._take()
                try:
                    await self._again(reading, lambda: reading.db.execute(_BEGIN))
                    try:
                        yield reading
                    finally:
                        if not reading.db.closed:
                            await reading.db.execute(b"ROLLBACK")
                finally:
                    await self._return(user, reading)
        except psycopg.OperationalError as error:
            raise unreachable(error) from error
        finally:
            self._end()

    async def _again(self, reading: _Reading, read: Callable[[], Awaitable[T]]) -> T:
        """Read; if the connection was lost since its last use, again with a new one."""
        try:
            return await read()
        except psycopg.OperationalError:
            if not reading.db.closed:
                raise
            reading.use(await self._open())
            return await read()

    async def _take(self) -> tuple[str | None, _Reading]:
        """Wait for a turn of this task's user, and take a connection."""
        user = await self._turns.enter()
        try:
            return user, self._free.pop() if self._free else _Reading(await self._open())
        except BaseException:
            self._turns.leave(user)
            raise

    async def _return(self, user: str | None, reading: _Reading) -> None:
        try:
            if reading.db.pgconn.transaction_status == TransactionStatus.IDLE:
                self._free.append(reading)
            else:  # a read that was cancelled while it began or ended a transaction
                await reading.db.close()
        finally:
            self._turns.leave(user)

    def _end(self) -> None:
        self._lent -= 1
        self._returned.set()

    async def _open(self) -> "psycopg.AsyncConnection[Any]":
        return await open_async(self._url, self._schemas, read_only=True)

    async def drain(self) -> None:
        while self._lent:
            self._returned.clear()
            await self._returned.wait()

    async def close(self) -> None:
        for reading in self._free:
            await reading.db.close()


async def open_async(
    url: str, schemas: Sequence[str], *, read_only: bool
) -> "psycopg.AsyncConnection[Any]":
    """Connect. Raises psycopg.OperationalError."""
    db = await connect_async(conninfo(url), psycopg.AsyncRawCursor)
    try:
        adapt(db.adapters)
        await db.execute(settings(schemas, read_only=read_only).encode())
    except BaseException:
        await db.close()
        raise
    return db
