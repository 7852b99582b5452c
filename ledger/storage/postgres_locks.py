"""Locks of a database that a server has while it works alone, and loses when it stands still."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from threading import Event, Thread
from typing import Any, Final

import psycopg

from asset_ledger.ledger.storage.postgres import LOG, PostgresConnection
from asset_ledger.ledger.storage.postgres_readers import open_async
from asset_ledger.ledger.tasks import end

STILL: Final = "10s"
"""How long a server that stands still keeps such a lock."""
BEAT: Final = 2.0
"""Seconds between two statements that show that the server lives."""

_ENDS: Final = f"SET idle_session_timeout = '{STILL}'"
_SHOWS: Final = "SELECT 1"
_TRY: Final = "SELECT pg_try_advisory_lock(?)"
_LOCK: Final = "SELECT pg_advisory_lock(?)"
_TRY_NAMED: Final = b"SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
_HOLDER: Final = """SELECT a.application_name, host(a.client_addr), a.pid, a.backend_start::text
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.database = a.datid
        AND a.datname = current_database() AND (l.classid::bigint << 32) + l.objid::bigint = ?"""

logger = logging.getLogger(__name__)


@contextmanager
def trying(url: str, lock: int) -> Iterator[bool]:
    """Hold a lock until the block ends, if no other server has it. Yield whether it is held."""
    with closing(PostgresConnection(url, (LOG,))) as db, _showing(db):
        yield bool(db.execute(_TRY, (lock,)).fetchone()[0])


@contextmanager
def waiting(url: str, lock: int) -> Iterator[None]:
    """Wait until no other server has a lock, however long it works, and hold it for the block."""
    with closing(PostgresConnection(url, (LOG,))) as db:
        _wait(db, lock)
        with _showing(db):
            yield


def _wait(db: PostgresConnection, lock: int) -> None:
    reported = None
    while True:
        try:
            db.execute(_LOCK, (lock,))
            return
        except psycopg.errors.LockNotAvailable:
            holder = db.execute(_HOLDER, (lock,)).fetchone()
            if holder is not None and holder != reported:
                logger.warning("waiting for another server: %s", _described(*holder))
            reported = holder


def _described(name: str, address: str | None, pid: int, began: str) -> str:
    place = address or "this machine"
    return f"{name}, connected from {place} since {began} (process {pid} of PostgreSQL)"


@contextmanager
def _showing(db: PostgresConnection) -> Iterator[None]:
    """Let the database end a connection, with its locks, once this process stands still."""
    db.execute(_ENDS)
    ended = Event()

    def show() -> None:
        with suppress(psycopg.Error):  # it was lost: others may work now
            while not ended.wait(BEAT):
                db.execute(_SHOWS)

    thread = Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@asynccontextmanager
async def trying_named(url: str, name: str) -> AsyncIterator[bool]:
    """Hold the lock with a name, as `trying` does."""
    db = await open_async(url, (LOG,), read_only=False)
    try:
        await db.execute(_ENDS.encode())
        row = await (await db.execute(_TRY_NAMED, (name,))).fetchone()
        showing = asyncio.create_task(_show(db))
        try:
            yield bool(row and row[0])
        finally:
            await end(showing)
    finally:
        await db.close()


async def _show(db: "psycopg.AsyncConnection[Any]") -> None:
    with suppress(psycopg.Error):
        while True:
            await asyncio.sleep(BEAT)
            await db.execute(_SHOWS.encode())
