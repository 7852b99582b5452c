"""Reading beside a writer: the event loop and the threads read the same rows."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import copy_context
from pathlib import Path

import pytest

from asset_ledger.ledger.storage.brief_reader import LONGEST, REST, REST_OF_ALL, BriefReader
from asset_ledger.ledger.storage.readers import DEPTH, AsyncSqliteReaders
from asset_ledger.ledger.storage.sqlite import open_writer
from asset_ledger.ledger.storage.turns import ReadBudget, read_budget

NUMBERS = "SELECT n FROM numbers ORDER BY n"
ENDLESS = "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up) SELECT max(n) FROM up"


class Clock:
    """A clock that a test sets. Each reading advances it by `step` seconds."""

    def __init__(self) -> None:
        self.now = 100.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The connection that commits to `numbers.db`, which holds 1 and 2."""
    db = numbers(tmp_path / "numbers.db", 1, 2)
    yield db
    db.close()


@pytest.fixture
def brief(tmp_path: Path, writer: sqlite3.Connection, clock: Clock) -> Iterator[BriefReader]:
    reader = BriefReader(tmp_path / "numbers.db", clock)
    yield reader
    reader.close()


def numbers(path: Path, *values: int) -> sqlite3.Connection:
    db = open_writer(path, "OFF")
    db.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO numbers (n) VALUES (?)", [(n,) for n in values])
    return db


@asynccontextmanager
async def readers(path: Path, clock: Clock) -> AsyncIterator[AsyncSqliteReaders]:
    opened = AsyncSqliteReaders(path, 1, clock)
    try:
        yield opened
    finally:
        await opened.close()


def test_brief_reader_reads_the_latest_rows(brief: BriefReader, writer: sqlite3.Connection) -> None:
    assert brief.rows(NUMBERS, ()) == [(1,), (2,)]
    assert brief.rows("SELECT n FROM numbers WHERE n = ?", (9,)) == []

    writer.execute("INSERT INTO numbers (n) VALUES (3)")

    assert brief.rows(NUMBERS, ()) == [(1,), (2,), (3,)]


def test_brief_reader_rests_fifty_times_as_long_after_a_slow_statement(
    brief: BriefReader, clock: Clock
) -> None:
    clock.step = 2 * LONGEST
    assert brief.rows(NUMBERS, ()) == [(1,), (2,)]
    clock.step = 0.0

    assert brief.rows(NUMBERS, ()) is None
    clock.now += 2 * LONGEST * (REST - 1)
    assert brief.rows(NUMBERS, ()) is None
    clock.now += 2 * LONGEST * 2
    assert brief.rows(NUMBERS, ()) == [(1,), (2,)]


def test_brief_reader_rests_five_times_as_long_for_another_user(
    brief: BriefReader, clock: Clock
) -> None:
    def rows_of(user: str) -> list[tuple[int]] | None:
        read_budget.set(ReadBudget(user, None))
        return brief.rows(NUMBERS, ())

    bob, alice = copy_context(), copy_context()
    clock.step = 2 * LONGEST
    bob.run(rows_of, "bob")
    clock.step = 0.0

    clock.now += 2 * LONGEST * (REST_OF_ALL - 1)
    assert alice.run(rows_of, "alice") is None
    clock.now += 2 * LONGEST * 2
    assert alice.run(rows_of, "alice") == [(1,), (2,)]
    assert bob.run(rows_of, "bob") is None


def test_brief_reader_interrupts_a_statement_after_its_limit(
    brief: BriefReader, clock: Clock
) -> None:
    clock.step = LONGEST / 3

    assert brief.rows(ENDLESS, ()) is None

    clock.step = 0.0
    clock.now += LONGEST * (REST + 1) * 2
    assert brief.rows(NUMBERS, ()) == [(1,), (2,)]


def test_interrupted_statement_does_not_block_a_checkpoint(
    brief: BriefReader, writer: sqlite3.Connection, clock: Clock
) -> None:
    clock.step = LONGEST
    brief.rows(ENDLESS, ())

    blocked, *_ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    assert blocked == 0


def test_brief_reader_leaves_a_locked_file_to_threads(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "locked.db"
    numbers(path, 1).close()
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("PRAGMA journal_mode=DELETE")
    brief = BriefReader(path, clock)
    locker.execute("BEGIN EXCLUSIVE")

    assert brief.rows(NUMBERS, ()) is None

    locker.execute("ROLLBACK")
    assert brief.rows(NUMBERS, ()) == [(1,)]
    brief.close()
    locker.close()


@pytest.mark.parametrize("step", [0.0, LONGEST], ids=["by the loop", "by a thread"])
async def test_event_loop_and_threads_read_the_same_rows(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock, step: float
) -> None:
    clock.step = step
    async with readers(tmp_path / "numbers.db", clock) as opened:
        for n in (3, 4, 5):
            writer.execute("INSERT INTO numbers (n) VALUES (?)", (n,))
            assert await opened.rows(NUMBERS, brief=True) == [(i,) for i in range(1, n + 1)]


async def test_wrong_brief_statement_raises_the_error_of_sqlite(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    async with readers(tmp_path / "numbers.db", clock) as opened:
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            await opened.rows("SELECT m FROM numbers", brief=True)


async def test_task_that_reads_brief_statements_in_a_loop_lets_other_tasks_run(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    async with readers(tmp_path / "numbers.db", clock) as opened:
        while not done.is_set():
            await opened.rows(NUMBERS, brief=True)


async def test_brief_statements_read_the_other_file_at_once_after_a_swap(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    other_writer = numbers(tmp_path / "other.db", 7)
    async with (
        readers(tmp_path / "numbers.db", clock) as swapped,
        readers(tmp_path / "other.db", clock) as other,
    ):
        swapped.swap(other)

        assert await swapped.rows(NUMBERS, brief=True) == [(7,)]
        assert await other.rows(NUMBERS, brief=True) == [(1,), (2,)]
        await other.drain()
    other_writer.close()


async def test_closed_readers_leave_no_connection_open(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    async with readers(tmp_path / "numbers.db", clock) as opened:
        await opened.rows(NUMBERS, brief=True)

    writer.close()

    assert not (tmp_path / "numbers.db-wal").exists()  # the last connection removes it


async def test_concurrent_first_statements_open_one_connection(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    before = threading.active_count()
    async with readers(tmp_path / "numbers.db", clock) as opened:
        assert threading.active_count() == before

        await asyncio.gather(*(opened.rows(NUMBERS) for _ in range(DEPTH)))

        assert threading.active_count() == before + 1


async def test_next_caller_opens_the_connection_when_the_first_is_cancelled(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    async with readers(tmp_path / "numbers.db", clock) as opened:
        first, second = (asyncio.ensure_future(opened.rows(NUMBERS)) for _ in range(2))
        await asyncio.sleep(0)  # the first opens the connection, the second waits for it
        first.cancel()

        assert await second == [(1,), (2,)]
        with pytest.raises(asyncio.CancelledError):
            await first


@pytest.mark.parametrize("brief", [False, True])
async def test_readers_refuse_an_absent_file_until_it_exists(
    tmp_path: Path, clock: Clock, brief: bool
) -> None:
    path = tmp_path / "none.db"
    async with readers(path, clock) as opened:
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="unable to open"):
                await opened.rows(NUMBERS, brief=brief)
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            async with opened.snapshot():
                pass

        numbers(path, 1).close()

        assert await opened.rows(NUMBERS, brief=brief) == [(1,)]
        async with opened.snapshot() as db:
            assert await db.rows(NUMBERS) == [(1,)]


async def test_close_waits_for_the_connection_that_a_cancelled_caller_opens(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "pipe.db"
    os.mkfifo(path)  # opening it blocks until its other end is opened
    opened = AsyncSqliteReaders(path, 1, clock)
    cancelled = asyncio.ensure_future(opened.rows(NUMBERS))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled

    closing = asyncio.ensure_future(opened.close())
    await asyncio.wait([closing], timeout=0)
    waits = not closing.done()
    os.close(os.open(path, os.O_WRONLY))
    await closing

    assert waits  # else the thread would call a closed event loop


async def test_closed_readers_refuse_every_statement(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    async with readers(tmp_path / "numbers.db", clock) as opened:
        pass

    for brief in (False, True):
        with pytest.raises(
            sqlite3.ProgrammingError, match=r"the readers of numbers\.db are closed"
        ):
            await opened.rows(NUMBERS, brief=brief)
    with pytest.raises(sqlite3.ProgrammingError, match=r"the readers of numbers\.db are closed"):
        async with opened.snapshot():
            pass
