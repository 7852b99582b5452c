"""A resource stays open until it is released or its event loop ends, also without a reference."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asset_ledger.api.sdk.open_resource import OpenResource


def test_a_resource_without_a_reference_is_closed_at_the_end_of_its_event_loop() -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def opening() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(0)
            happened.append("closed")

    async def use() -> None:
        await OpenResource(opening()).opened()
        gc.collect()
        happened.append("the loop ends")

    asyncio.run(use())

    assert happened == ["the loop ends", "closed"]
