"""Waiting for a position: whoever waits is told the truth about it."""

import asyncio

import pytest

from asset_ledger.ledger.errors import ProjectionBehindError
from asset_ledger.projections.runtime.positions import Watermark


async def waiting(watermark: Watermark, position: int) -> "asyncio.Task[None]":
    """Somebody who waits for it, whose time is up at once."""
    task = asyncio.create_task(watermark.reach(position, 0))
    await asyncio.sleep(0)
    return task


async def test_whose_time_is_up_before_it_is_there_is_told_where_it_is() -> None:
    task = await waiting(Watermark(4), 5)

    with pytest.raises(ProjectionBehindError, match="reflect position 4, not 5 yet"):
        await task


async def test_whose_time_is_up_as_it_comes_there_does_not_hear_that_it_is_behind() -> None:
    watermark = Watermark(4)
    task = await waiting(watermark, 5)

    watermark.move(5)

    await task
