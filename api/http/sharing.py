"""Costly answers that need no token: waiting requests share a run, and runs rest in between."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

REST: Final = 9
"""Times as long as a run took until the next one begins."""


class Shared(Generic[T]):
    """Runs of one function. For the event loop.

    Promise: a run begins after its callers have called, and runs take a tenth of the time at most.
    """

    def __init__(self) -> None:
        self._next: asyncio.Task[T] | None = None
        self._turn = asyncio.Lock()
        self._rests_until = 0.0

    async def share(self, make: Callable[[], Awaitable[T]]) -> T:
        """Return what the next run returns, or raise what it raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._run(make))
        return await asyncio.shield(self._next)

    async def _run(self, make: Callable[[], Awaitable[T]]) -> T:
        now = asyncio.get_running_loop().time
        async with self._turn:
            await asyncio.sleep(self._rests_until - now())
            self._next, began = None, now()
            try:
                return await make()
            finally:
                self._rests_until = now() + REST * (now() - began)
