"""`OpenResource`: a resource that stays open until it is released or its event loop ends.

A task keeps it open: when a loop ends, `asyncio.run` cancels its tasks and waits for them, and the
cancelled task closes the resource.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, TypeVar

from asset_ledger.api.sdk.errors import NotConnectedError

T = TypeVar("T")

_KEEPING: Final = set[asyncio.Task[None]]()
"""The tasks that keep resources open. An event loop has weak references only to its tasks."""


class OpenResource(Generic[T]):
    """The resource that a context manager opened."""

    def __init__(self, opening: AbstractAsyncContextManager[T]) -> None:
        self._opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._ended = False
        self._task = asyncio.create_task(self._keep(opening))
        _KEEPING.add(self._task)
        self._task.add_done_callback(_KEEPING.discard)

    async def opened(self) -> T:
        """Return the resource. Raises what opening it raised, NotConnectedError once it closes."""
        if not self._opened.done():
            await asyncio.wait([self._opened])  # a cancelled caller does not cancel the opening
        if self._ended:
            raise NotConnectedError()
        return self._opened.result()

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
                try:
                    await asyncio.Event().wait()  # until this task is cancelled
                finally:
                    self._ended = True
        except asyncio.CancelledError:
            self._ended = True  # else callers would wait for an opening that was cancelled
            self._opened.cancel()
            raise
        except Exception as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)
