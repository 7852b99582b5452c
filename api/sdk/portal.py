"""The event loop in the background, which the sync door waits for.

Promise: what holds for the caller, such as the ledger he is connected to, holds for what he asks.
"""

import asyncio
import atexit
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import suppress
from functools import cache
from threading import Thread
from typing import Any, Final, TypeVar

T = TypeVar("T")

GOODBYE: Final = 10.0
"""Seconds that connections have to close when the process ends."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it in the background; answer what it answers, raise what it raises."""
    # The loop copies the caller's context for it, and so the connected ledger.
    running = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return running.result()
    except BaseException:
        running.cancel()  # who stops waiting (Ctrl-C) wants it no more
        raise


def drain(source: AsyncGenerator[T]) -> Iterator[T]:
    """The items of an async generator, each made when it is asked for."""
    try:
        while (item := run(_next(source))) is not None:
            yield item
    finally:
        run(_closed(source))


async def _next(source: AsyncGenerator[T]) -> T | None:
    return await anext(source, None)


async def _closed(source: AsyncGenerator[T]) -> None:
    await source.aclose()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="asset-ledger", daemon=True).start()
    atexit.register(_say_goodbye, loop)
    return loop


def _say_goodbye(loop: asyncio.AbstractEventLoop) -> None:
    """Let go of what the loop holds: the connections with a ledger."""
    with suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(_end_tasks(), loop).result(GOODBYE)
    loop.call_soon_threadsafe(loop.stop)


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
