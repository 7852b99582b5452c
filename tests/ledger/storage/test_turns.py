"""Slow reads: users take turns at few connections, and none reads longer than it may."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asset_ledger.ledger.errors import BusyError, DeadlineExceededError
from asset_ledger.ledger.storage.readers import EACH, SLOW, AsyncSqliteReaders
from asset_ledger.ledger.storage.turns import MAX_WAITING, ReadBudget, Turns, read_budget
from tests.ledger.storage.test_readers import ENDLESS, NUMBERS, numbers

LONG = 30.0
"""Seconds that no read of these tests needs."""


def count_to(n: int) -> str:
    up = f"SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < {n}"
    return f"WITH RECURSIVE up(n) AS ({up}) SELECT max(n) FROM up"


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[AsyncSqliteReaders]:
    numbers(tmp_path / "numbers.db", 1, 2).close()
    opened = AsyncSqliteReaders(tmp_path / "numbers.db", 1)
    try:
        yield opened
    finally:
        await opened.close()


async def read(
    readers: AsyncSqliteReaders, sql: str, user: str, seconds: float = LONG
) -> list[object]:
    read_budget.set(ReadBudget(user, seconds))
    return await readers.rows(sql)


def reading(
    readers: AsyncSqliteReaders, sql: str, user: str, seconds: float = LONG
) -> "asyncio.Task[list[object]]":
    """Read in a task of its own, which has a context of its own."""
    return asyncio.create_task(read(readers, sql, user, seconds))


@pytest.mark.parametrize("seconds", [0.01, 0.2, 0.5])
async def test_an_endless_read_ends_at_its_deadline(
    shared: AsyncSqliteReaders, seconds: float
) -> None:
    began = time.monotonic()

    with pytest.raises(DeadlineExceededError, match="took longer than"):
        await reading(shared, ENDLESS, "bob", seconds)

    assert time.monotonic() - began < LONG / 2
    assert await reading(shared, NUMBERS, "bob") == [(1,), (2,)]


async def test_a_snapshot_ends_at_its_deadline_too(shared: AsyncSqliteReaders) -> None:
    async def endless() -> None:
        read_budget.set(ReadBudget("bob", 0.2))
        async with shared.snapshot() as db:
            await db.rows(ENDLESS)

    with pytest.raises(DeadlineExceededError):
        await asyncio.create_task(endless())
    async with shared.snapshot() as db:
        assert len(await db.rows(NUMBERS)) == 2


async def test_a_read_that_is_slow_but_in_time_returns_its_rows(shared: AsyncSqliteReaders) -> None:
    assert await reading(shared, count_to(4_000_000), "bob") == [(4_000_000,)]


@pytest.mark.slow
async def test_endless_reads_of_one_user_do_not_hold_up_another(shared: AsyncSqliteReaders) -> None:
    endless = [reading(shared, ENDLESS, "bob") for _ in range(20)]
    await asyncio.sleep(0.5)  # by now they have begun again as slow ones
    for _ in range(5):
        assert await asyncio.wait_for(reading(shared, NUMBERS, "alice"), LONG / 2) == [(1,), (2,)]
    slow = reading(shared, count_to(2_000_000), "alice")

    assert await asyncio.wait_for(slow, LONG / 2) == [(2_000_000,)]
    assert not any(each.done() for each in endless)
    for each in endless:
        each.cancel()
    await asyncio.gather(*endless, return_exceptions=True)


@pytest.mark.slow
async def test_the_reads_of_one_user_that_wait_are_bounded(shared: AsyncSqliteReaders) -> None:
    endless = [reading(shared, ENDLESS, "bob") for _ in range(MAX_WAITING + EACH)]
    await asyncio.sleep(0)
    late = [reading(shared, ENDLESS, "bob", 2.0) for _ in range(3)]

    ended = await asyncio.gather(*late, return_exceptions=True)

    assert any(isinstance(each, BusyError) for each in ended)
    for each in endless:
        each.cancel()
    await asyncio.gather(*endless, return_exceptions=True)
    assert await reading(shared, NUMBERS, "bob") == [(1,), (2,)]


@pytest.mark.slow
async def test_a_cancelled_read_frees_its_connection(shared: AsyncSqliteReaders) -> None:
    for _ in range(3 * SLOW):
        endless = reading(shared, ENDLESS, "bob")
        await asyncio.sleep(0.15)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless

    assert await asyncio.wait_for(reading(shared, count_to(4_000_000), "bob"), LONG) != []
    await asyncio.wait_for(shared.drain(), LONG)


async def test_users_take_turns_in_the_order_of_their_last_one() -> None:
    turns, order = Turns(1, 1), list[str]()

    async def take(user: str) -> None:
        read_budget.set(ReadBudget(user, None))
        async with turns.take():
            order.append(user)
            await asyncio.sleep(0)

    await asyncio.gather(*(asyncio.create_task(take(user)) for user in "aaabbc"))

    assert "".join(order) == "abcaba"


async def test_a_turn_that_is_cancelled_while_it_waits_is_passed_on() -> None:
    turns, entered = Turns(1, 1), asyncio.Event()

    async def take(event: asyncio.Event | None = None) -> None:
        async with turns.take():
            if event is not None:
                await event.wait()

    first = asyncio.create_task(take(entered))
    await asyncio.sleep(0)
    second, third = asyncio.create_task(take()), asyncio.create_task(take())
    await asyncio.sleep(0)
    second.cancel()
    entered.set()

    await asyncio.wait_for(asyncio.gather(first, third), LONG)
    assert second.cancelled()
