"""`OpenResource`: a resource that stays open until it is released or its event loop ends.

A task keeps it open: when a loop ends, `asyncio.run` cancels its tasks and waits for them, and the
cancelled task closes the resource.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

T = TypeVar("T")


class OpenResource(Generic[T]):
    """The resource that a context manager opened."""

    def __init__(self, opening: AbstractAsyncContextManager[T]) -> None:
        self._opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(opening))

    async def opened(self) -> T:
        """Return the resource. Raises what opening it raised."""
        # Shielded: a cancelled caller would cancel the opening for all callers.
        return self._opened.result() if self._opened.done() else await asyncio.shield(self._opened)

    async def release(self) -> None:
        """Close the resource, and return when it is closed. Raises what closing it raised."""
        self._task.cancel()
        (ended,) = await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    async def _keep(self, opening: AbstractAsyncContextManager[T]) -> None:
        try:
            async with opening as opened:
                self._opened.set_result(opened)
                await asyncio.Event().wait()  # until this task is cancelled
        except Exception as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)
