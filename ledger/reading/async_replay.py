"""Reads of the log for the event loop: each runs in a thread."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Concatenate, Final, ParamSpec, TypeVar

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.log.event_log import Appended
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.storage.turns import Turns, threads_each

THREADS: Final = 4
MAX_REQUESTS: Final = 1 << 20
EACH: Final = 2
"""The most reads of one user at the same time, with four processors or more. As many
wait as the user may have requests."""

P = ParamSpec("P")
T = TypeVar("T")


class AsyncReplay:
    """Calls a `Replay`, as in `await replay(Replay.asset, user_id, asset_id)`."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ledger-reader")
        self._turns = Turns(THREADS, threads_each(EACH), "reads of the log", most=MAX_REQUESTS)

    async def __call__(
        self, read: Callable[Concatenate[Replay, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return `read(replay, ...)`, which may block. Raises what it raises."""
        call = partial(read, self._replay, *args, **kwargs)
        async with self._turns.take():
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def recorded(self, appended: Appended) -> Sequence[Recorded]:
        """Return the events of a command, read from the log if this is a retry."""
        if appended.recorded:
            return appended.recorded
        return await self(Replay.between, appended.first, appended.last)

    def close(self) -> None:
        """Wait for the reads under way, and end the threads."""
        self._threads.shutdown()
