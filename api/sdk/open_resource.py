"""Things that stay open until somebody lets go of them, or until their event loop ends.

Each is held by a task of its own: a loop that ends (`asyncio.run`) cancels its tasks and waits for
them, and the cancelled task closes what it holds.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

T = TypeVar("T")


class OpenResource(Generic[T]):
    """What a context manager opened, held open. A task closes it."""

    def __init__(self, opening: AbstractAsyncContextManager[T]) -> None:
        self._opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(opening))

    async def opened(self) -> T:
        """What is held. Raises what opening it raised."""
        # Shielded: one of many who wait may be cancelled, and would cancel it for all.
        return self._opened.result() if self._opened.done() else await asyncio.shield(self._opened)

    async def release(self) -> None:
        """Close it, and wait until it is closed. Raises what closing it raised."""
        self._task.cancel()
        (ended,) = await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    async def _keep(self, opening: AbstractAsyncContextManager[T]) -> None:
        try:
            async with opening as opened:
                self._opened.set_result(opened)
                await asyncio.Event().wait()  # until it is cancelled
        except Exception as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)
