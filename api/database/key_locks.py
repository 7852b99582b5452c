"""Locks by name that all servers of a database share."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

import orjson
import psycopg

from asset_ledger.api.key_locks import KeyLocks
from asset_ledger.ledger.errors import BusyError
from asset_ledger.ledger.storage.postgres import LOG, unreachable
from asset_ledger.ledger.storage.postgres_readers import open_async
from asset_ledger.ledger.tasks import end

PATIENCE: Final = 5.0
"""Seconds that a write waits for its lock at most."""
PAUSE: Final = 0.01
"""Seconds between two attempts to take a lock that another server holds."""

_TAKE: Final = b"SELECT n, pg_try_advisory_lock(n) FROM unnest($1::bigint[]) AS given(n)"
_RETURN: Final = b"SELECT pg_advisory_unlock(n) FROM unnest($1::bigint[]) AS given(n)"


class SharedKeyLocks(KeyLocks):
    """Advisory locks of the database. One connection has all those of this server.

    The database frees them when the connection ends, as with the death of this server. Concurrent
    calls share statements. Tasks of this server wait for each other first: a connection gets a lock
    that it has already.
    """

    def __init__(self, url: str) -> None:
        """Connect to nothing yet: the first lock does."""
        super().__init__()
        self._url = url
        self._db: psycopg.AsyncConnection[Any] | None = None
        self._wanted: dict[int, asyncio.Future[None]] = {}
        self._unneeded: list[int] = []
        self._changed = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def hold(self, name: Hashable) -> AsyncIterator[None]:
        """Hold the lock with this name until the block ends.

        Raises BusyError if it is not free in time, and StorageFailedError.
        """
        number = _number(name)
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(PATIENCE):
                    await stack.enter_async_context(super().hold(number))
                    await self._take(number, stack)
            except TimeoutError as error:
                raise BusyError("other writes of this key take too long; retry") from error
            except psycopg.Error as error:
                raise unreachable(error) from error
            yield

    async def close(self) -> None:
        """Close the connection."""
        if self._work is not None:
            await end(self._work)
        if self._db is not None:
            await self._db.close()

    async def _take(self, number: int, stack: AsyncExitStack) -> None:
        """Wait for a lock, which the stack returns."""
        taken = self._wanted[number] = asyncio.get_running_loop().create_future()
        stack.callback(self._return, number)
        self._wake()
        await taken

    def _return(self, number: int) -> None:
        taken = self._wanted.pop(number)
        is_taken = taken.done() and not taken.cancelled() and not taken.exception()
        if is_taken and self._db is not None and not self._db.closed:
            self._unneeded.append(number)
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._take_turns())

    def _waiting(self) -> list[int]:
        return [number for number, taken in self._wanted.items() if not taken.done()]

    async def _take_turns(self) -> None:
        """Return and take locks until no task waits for one."""
        while self._waiting() or self._unneeded:
            self._changed.clear()
            try:
                await self._turn()
            except psycopg.Error as error:
                await self._fail(error)
            if self._waiting():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), PAUSE)

    async def _turn(self) -> None:
        """Return locks, then take others: a server that waits for one of these may come between."""
        unneeded, self._unneeded = self._unneeded, []
        if unneeded:
            await self._execute(_RETURN, unneeded)
        if waiting := self._waiting():
            found = await (await self._execute(_TAKE, waiting)).fetchall()
            for number in (number for number, is_taken in found if is_taken):
                taken = self._wanted.get(number)
                if taken is None or taken.done():  # its task has gone
                    self._unneeded.append(number)
                else:
                    taken.set_result(None)

    async def _fail(self, error: psycopg.Error) -> None:
        """Refuse the tasks that wait, and leave no lock that nothing returns."""
        for number in self._waiting():
            self._wanted[number].set_exception(error)
        if self._db is not None:
            await self._db.close()

    async def _execute(self, sql: bytes, numbers: Sequence[int]) -> "psycopg.AsyncCursor[Any]":
        """Run a statement, once more if the connection was lost."""
        try:
            return await (await self._connected()).execute(sql, (numbers,))
        except psycopg.OperationalError:
            if self._db is None or not self._db.closed:
                raise
            return await (await self._connected()).execute(sql, (numbers,))

    async def _connected(self) -> "psycopg.AsyncConnection[Any]":
        if self._db is None or self._db.closed:
            self._db = await open_async(self._url, (LOG,), read_only=False)
        return self._db


def _number(name: Hashable) -> int:
    """Return the number of a lock: the first eight bytes of a hash of its name."""
    return int.from_bytes(hashlib.sha256(orjson.dumps(name)).digest()[:8], signed=True)
