"""Waiting for a position: timeouts and wake-ups."""

import asyncio

import pytest

from asset_ledger.ledger.errors import ProjectionBehindError
from asset_ledger.projections.runtime.positions import Watermark


async def waiting(watermark: Watermark, position: int) -> "asyncio.Task[None]":
    """Start a task that waits for a position with a timeout of 0 s."""
    task = asyncio.create_task(watermark.reach(position, 0))
    await asyncio.sleep(0)
    return task


async def test_waiting_times_out_with_the_position_reached() -> None:
    task = await waiting(Watermark(4), 5)

    with pytest.raises(ProjectionBehindError, match="reflect position 4, not 5 yet"):
        await task


async def test_waiting_succeeds_when_timeout_and_position_coincide() -> None:
    watermark = Watermark(4)
    task = await waiting(watermark, 5)

    watermark.move(5)

    await task
