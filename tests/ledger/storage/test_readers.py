"""Reading beside a writer: who reads a brief statement, and that nobody can tell by the rows."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from asset_ledger.ledger.storage.brief_reader import LONGEST, REST, BriefReader
from asset_ledger.ledger.storage.readers import DEPTH, AsyncReaders
from asset_ledger.ledger.storage.sqlite import open_writer

NUMBERS = "SELECT n FROM numbers ORDER BY n"
ENDLESS = "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up) SELECT max(n) FROM up"


class Clock:
    """Seconds that pass as told, and so many more each time somebody looks."""

    def __init__(self) -> None:
        self.now = 100.0
        self.each = 0.0

    def __call__(self) -> float:
        self.now += self.each
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


def numbers(path: Path, *these: int) -> sqlite3.Connection:
    db = open_writer(path, "OFF")
    db.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO numbers (n) VALUES (?)", [(n,) for n in these])
    return db


@asynccontextmanager
async def readers(path: Path, clock: Clock) -> AsyncIterator[AsyncReaders]:
    it = AsyncReaders(path, 1, clock)
    try:
        yield it
    finally:
        await it.close()


def test_a_quick_statement_is_answered_at_once(
    brief: BriefReader, writer: sqlite3.Connection
) -> None:
    assert brief.rows(NUMBERS, ()) == [(1,), (2,)]
    assert brief.rows("SELECT n FROM numbers WHERE n = ?", (9,)) == []

    writer.execute("INSERT INTO numbers (n) VALUES (3)")

    assert brief.rows(NUMBERS, ()) == [(1,), (2,), (3,)]


def test_after_a_slow_statement_threads_read_for_fifty_times_as_long(
    brief: BriefReader, clock: Clock
) -> None:
    clock.each = 2 * LONGEST
    assert brief.rows(NUMBERS, ()) == [(1,), (2,)]
    clock.each = 0.0

    assert brief.rows(NUMBERS, ()) is None
    clock.now += 2 * LONGEST * (REST - 1)
    assert brief.rows(NUMBERS, ()) is None
    clock.now += 2 * LONGEST * 2
    assert brief.rows(NUMBERS, ()) == [(1,), (2,)]


def test_a_statement_that_takes_too_long_is_broken_off(brief: BriefReader, clock: Clock) -> None:
    clock.each = LONGEST / 3

    assert brief.rows(ENDLESS, ()) is None

    clock.each = 0.0
    clock.now += LONGEST * (REST + 1) * 2
    assert brief.rows(NUMBERS, ()) == [(1,), (2,)]


def test_a_statement_that_was_broken_off_keeps_no_checkpoint_from_its_end(
    brief: BriefReader, writer: sqlite3.Connection, clock: Clock
) -> None:
    clock.each = LONGEST
    brief.rows(ENDLESS, ())

    blocked, *_ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    assert blocked == 0


def test_a_locked_file_is_waited_for_by_a_thread(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "locked.db"
    numbers(path, 1).close()
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("PRAGMA journal_mode=DELETE")
    brief = BriefReader(path, clock)
    stranger.execute("BEGIN EXCLUSIVE")

    assert brief.rows(NUMBERS, ()) is None

    stranger.execute("ROLLBACK")
    assert brief.rows(NUMBERS, ()) == [(1,)]
    brief.close()
    stranger.close()


@pytest.mark.parametrize("each", [0.0, LONGEST], ids=["by the loop", "by a thread"])
async def test_the_rows_are_the_same_whoever_reads_them(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock, each: float
) -> None:
    clock.each = each
    async with readers(tmp_path / "numbers.db", clock) as it:
        for n in (3, 4, 5):
            writer.execute("INSERT INTO numbers (n) VALUES (?)", (n,))
            assert await it.rows(NUMBERS, brief=True) == [(i,) for i in range(1, n + 1)]


async def test_a_brief_statement_that_is_wrong_raises_what_sqlite_says(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    async with readers(tmp_path / "numbers.db", clock) as it:
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            await it.rows("SELECT m FROM numbers", brief=True)


async def test_who_reads_brief_statements_in_a_loop_lets_others_run(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    async with readers(tmp_path / "numbers.db", clock) as it:
        while not done.is_set():
            await it.rows(NUMBERS, brief=True)


async def test_after_a_swap_brief_statements_read_the_other_file_at_once(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    following = numbers(tmp_path / "following.db", 7)
    async with (
        readers(tmp_path / "numbers.db", clock) as ours,
        readers(tmp_path / "following.db", clock) as others,
    ):
        ours.swap(others)

        assert await ours.rows(NUMBERS, brief=True) == [(7,)]
        assert await others.rows(NUMBERS, brief=True) == [(1,), (2,)]
        await others.drain()
    following.close()


async def test_readers_that_are_closed_leave_no_connection(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    async with readers(tmp_path / "numbers.db", clock) as it:
        await it.rows(NUMBERS, brief=True)

    writer.close()

    assert not (tmp_path / "numbers.db-wal").exists()  # the last connection removes it


async def test_the_first_statements_open_one_connection_whoever_comes_first(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    before = threading.active_count()
    async with readers(tmp_path / "numbers.db", clock) as it:
        assert threading.active_count() == before

        await asyncio.gather(*(it.rows(NUMBERS) for _ in range(DEPTH)))

        assert threading.active_count() == before + 1


async def test_who_gives_up_while_a_connection_opens_leaves_the_next_one_his_place(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    async with readers(tmp_path / "numbers.db", clock) as it:
        gives_up, waits = (asyncio.ensure_future(it.rows(NUMBERS)) for _ in range(2))
        await asyncio.sleep(0)  # the one is opening it, the other waits for that
        gives_up.cancel()

        assert await waits == [(1,), (2,)]
        with pytest.raises(asyncio.CancelledError):
            await gives_up


@pytest.mark.parametrize("brief", [False, True])
async def test_a_file_that_is_not_there_is_refused_until_it_is(
    tmp_path: Path, clock: Clock, brief: bool
) -> None:
    path = tmp_path / "none.db"
    async with readers(path, clock) as it:
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="unable to open"):
                await it.rows(NUMBERS, brief=brief)
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            async with it.snapshot():
                pass

        numbers(path, 1).close()

        assert await it.rows(NUMBERS, brief=brief) == [(1,)]
        async with it.snapshot() as db:
            assert [*await db.execute_fetchall(NUMBERS)] == [(1,)]


async def test_closing_waits_for_a_connection_that_was_given_up_while_it_opened(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "pipe.db"
    os.mkfifo(path)  # which is opened only once somebody opens its other end
    it = AsyncReaders(path, 1, clock)
    gives_up = asyncio.ensure_future(it.rows(NUMBERS))
    await asyncio.sleep(0)
    gives_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gives_up

    closing = asyncio.ensure_future(it.close())
    await asyncio.wait([closing], timeout=0)
    waits = not closing.done()
    os.close(os.open(path, os.O_WRONLY))
    await closing

    assert waits  # else its thread would answer an event loop that is closed by then


async def test_readers_that_are_closed_open_nothing_any_more(
    tmp_path: Path, writer: sqlite3.Connection, clock: Clock
) -> None:
    async with readers(tmp_path / "numbers.db", clock) as it:
        pass

    for brief in (False, True):
        with pytest.raises(sqlite3.ProgrammingError, match="is read no more"):
            await it.rows(NUMBERS, brief=brief)
    with pytest.raises(sqlite3.ProgrammingError, match="is read no more"):
        async with it.snapshot():
            pass
