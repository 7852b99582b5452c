"""Budgets of reads: how long one may take, and turns of users at few places, as of slow reads.

Promise: no user has more than `each` of the places, and a user that waits gets a turn before
another user's next one.
"""

import asyncio
import os
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from typing import Final, NamedTuple

from asset_ledger.ledger.errors import BusyError, DeadlineExceededError

MAX_WAITING: Final = 32
"""Turns of one user that wait; one more is refused."""


MAX_RESTING: Final = 1_000
"""Users whose rests are remembered."""


def threads_each(most: int) -> int:
    """Return how many threads of one user run at a time: for half of the processors, at least one
    and at most `most`. Else one user's reads keep every processor busy."""
    return max(1, min(most, (os.cpu_count() or 1) // 2))


class ReadBudget(NamedTuple):
    """The user for which a task reads, and the seconds that one read may take; None: no limit."""

    user: str
    seconds: float | None


read_budget: ContextVar[ReadBudget | None] = ContextVar("read_budget", default=None)
"""The budget of this task; None: the only user of this process, without a deadline."""


def reading_user() -> str | None:
    """Return the user for which this task reads; None if it is the only one."""
    allowed = read_budget.get()
    return None if allowed is None else allowed.user


class Rests:
    """Until when this task's user rests after a slow read: other users need not."""

    def __init__(self) -> None:
        self._until: dict[str | None, float] = {}

    @property
    def until(self) -> float:
        """The time until which the user rests; 0 if it never had to."""
        return self._until.get(reading_user(), 0.0)

    @until.setter
    def until(self, time: float) -> None:
        if len(self._until) >= MAX_RESTING:
            self._until.clear()
        self._until[reading_user()] = time


def deadline() -> AbstractAsyncContextManager[object]:
    """Cancel the block at the deadline of this task's budget. Raises DeadlineExceededError."""
    allowed = read_budget.get()
    if allowed is None or allowed.seconds is None:
        return nullcontext()
    return _within(allowed.seconds)


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        reason = f"the read took longer than {seconds:g} s: ask for less, or filter more"
        raise DeadlineExceededError(reason) from error


class Turns:
    """`size` places, of which one user has at most `each` at a time. For one event loop.

    `most` turns of one user may wait.
    """

    def __init__(
        self, size: int, each: int, what: str = "slow reads", most: int = MAX_WAITING
    ) -> None:
        self._free, self._size, self._each, self._what = size, size, each, what
        self._most = most
        self._taken: Counter[str | None] = Counter()
        self._waiting: OrderedDict[str | None, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a turn of this task's user, and hold it until the block ends. Raises BusyError
        if too many turns of the user wait."""
        user = await self.enter()
        try:
            yield
        finally:
            self.leave(user)

    async def enter(self) -> str | None:
        """Wait for a turn as `take` does. Return the user that `leave` takes."""
        user = reading_user()
        if self._admits(user):
            self._enter(user)
        else:
            await self._wait(user)
        return user

    def _admits(self, user: str | None) -> bool:
        limit = self._size if user is None else self._each
        return self._free > 0 and self._taken[user] < limit

    def _enter(self, user: str | None) -> None:
        self._free -= 1
        self._taken[user] += 1

    def leave(self, user: str | None) -> None:
        """End a turn."""
        self._free += 1
        self._taken[user] -= 1
        if not self._taken[user]:
            del self._taken[user]  # else each user ever seen would be kept
        if user in self._waiting:
            self._waiting.move_to_end(user)
        self._admit()

    async def _wait(self, user: str | None) -> None:
        queue = self._waiting.setdefault(user, deque())
        if user is not None and len(queue) >= self._most:
            reason = f"{self._most} {self._what} of this user wait; try again in a second"
            raise BusyError(reason, self._what.replace(" ", "-"))
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave(user)  # it was admitted at the moment of its cancellation
            else:
                self._forget(user, turn)
            raise

    def _forget(self, user: str | None, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(user, deque())
        if turn in queue:
            queue.remove(turn)
        if not queue:
            self._waiting.pop(user, None)

    def _admit(self) -> None:
        """Give free places to users in the order in which they had their last turn."""
        for user in [*self._waiting]:
            if self._admits(user):
                queue = self._waiting.pop(user)
                self._grant(user, queue)
                if queue:
                    self._waiting[user] = queue  # behind the others

    def _grant(self, user: str | None, queue: "deque[asyncio.Future[None]]") -> None:
        while queue:
            turn = queue.popleft()
            if not turn.cancelled():  # its caller has gone, and has not run since
                self._enter(user)
                turn.set_result(None)
                return
