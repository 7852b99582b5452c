"""A task that is ended, and the caller that waits for it."""

import asyncio

import pytest

from asset_ledger.ledger.tasks import end


async def test_the_end_of_a_task_loses_no_cancellation_of_its_caller() -> None:
    cancelled = asyncio.Event()

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
            await asyncio.sleep(0)

    task = asyncio.create_task(slow_to_end())
    await asyncio.sleep(0)
    caller = asyncio.create_task(end(task))
    await cancelled.wait()
    caller.cancel()

    await asyncio.wait([caller])

    assert caller.cancelled()


async def test_the_error_that_ended_a_task_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("it failed")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)

    with pytest.raises(ValueError, match="it failed"):
        await end(task)
