"""A position that one thread raises and tasks on event loops await."""

import asyncio
import threading
from collections.abc import Iterable
from typing import NamedTuple

from asset_ledger.ledger.errors import ProjectionBehindError


class _Waiter(NamedTuple):
    position: int
    reached: "asyncio.Future[None]"
    loop: asyncio.AbstractEventLoop


class Watermark:
    """A position in the log, and the callers that wait until it is reached."""

    def __init__(self, position: int) -> None:
        self._position = position
        self._waiters: list[_Waiter] = []
        self._lock = threading.Lock()

    @property
    def position(self) -> int:
        return self._position

    def move(self, position: int) -> None:
        """Set the position and wake the callers that wait for it or less. Any thread may call."""
        with self._lock:
            self._position = position
            reached = [w for w in self._waiters if w.position <= position]
            self._waiters = [w for w in self._waiters if w.position > position]
        _wake(reached)

    async def reach(self, position: int, within: float) -> None:
        """Return once the position is reached. Raises ProjectionBehindError after `within` s."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(position, loop.create_future(), loop)
        with self._lock:
            if self._position >= position:
                return
            self._waiters.append(waiter)
        try:
            async with asyncio.timeout(within):
                await waiter.reached
        except TimeoutError:
            if (reached := self._position) < position:  # else: reached while the loop was blocked
                message = f"the tables reflect position {reached:,}, not {position:,} yet"
                raise ProjectionBehindError(message) from None
        finally:
            self._forget(waiter)

    def is_awaited(self, upto: int) -> bool:
        """Return whether a caller waits for a position up to `upto`."""
        with self._lock:
            return any(waiter.position <= upto for waiter in self._waiters)

    def hand_over(self, successor: "Watermark") -> None:
        """Move all waiting callers to another watermark. Called on their event loop."""
        with self._lock:
            waiters, self._waiters = self._waiters, []
        with successor._lock:
            reached = [w for w in waiters if w.position <= successor._position]
            successor._waiters += [w for w in waiters if w.position > successor._position]
        _wake(reached)

    def _forget(self, waiter: _Waiter) -> None:
        with self._lock:
            self._waiters = [w for w in self._waiters if w is not waiter]


def _wake(waiters: Iterable[_Waiter]) -> None:
    for waiter in waiters:
        if not waiter.loop.is_closed():
            waiter.loop.call_soon_threadsafe(_resolve, waiter.reached)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
