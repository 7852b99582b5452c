"""The background event loop that runs the calls of the synchronous SDK.

Promise: a call runs in a copy of the caller's context variables, so it uses the caller's ledger. In
a thread without a ledger of its own, it uses that of the open `with` block.
"""

import asyncio
import atexit
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import suppress
from contextvars import copy_context
from functools import cache
from os import register_at_fork
from threading import Thread
from typing import Any, Final, TypeVar

from asset_ledger.api.sdk.connection import synchronous
from asset_ledger.api.sdk.errors import EventLoopError

T = TypeVar("T")

CLOSE_TIMEOUT: Final = 10.0
"""Seconds to wait for connections to close when the process ends."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the background loop. Returns its result and raises its exception.

    Raises EventLoopError inside the background loop, which would wait for itself.
    """
    loop = _loop()
    if _is_running(loop):
        work.close()
        raise EventLoopError(
            "asset_ledger.sync was used in a coroutine that asset_ledger.sync runs:"
            " await the call of the same name in asset_ledger"
        )
    context = copy_context()
    context.run(synchronous.set, True)
    running = context.run(asyncio.run_coroutine_threadsafe, work, loop)
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


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether this thread runs the loop."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


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


def _forget_loop() -> None:
    """Start over in a forked child: the thread of the loop runs in the parent only."""
    atexit.unregister(_stop)
    _loop.cache_clear()


register_at_fork(after_in_child=_forget_loop)
