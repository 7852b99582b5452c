"""The background event loop that runs the calls of the synchronous SDK.

Promise: a call runs in a copy of the caller's context variables, so it uses the caller's ledger.
"""

import asyncio
import atexit
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import suppress
from functools import cache
from threading import Thread
from typing import Any, Final, TypeVar

T = TypeVar("T")

CLOSE_TIMEOUT: Final = 10.0
"""Seconds to wait for connections to close when the process ends."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the background loop. Returns its result and raises its exception."""
    running = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return running.result()
    except BaseException:
        running.cancel()  # after Ctrl-C the coroutine would run on
        raise


def drain(source: AsyncGenerator[T]) -> Iterator[T]:
    """Yield the items of an async generator, and close it at the end."""
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
    atexit.register(_stop, loop)
    return loop


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    """Close the open connections, and stop the loop."""
    with suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(_end_tasks(), loop).result(CLOSE_TIMEOUT)
    loop.call_soon_threadsafe(loop.stop)


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
