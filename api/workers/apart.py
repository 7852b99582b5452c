"""Who writes: a thread of the server, and once it is busy a process of its own.

One interpreter runs one thread's Python at a time; a busy server's is taken up by HTTP. Promise: at
any moment one process has the files open to write, and who waits for a write does not notice who.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Final

from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.committer_process import Hearing, TurnsApart
from asset_ledger.ledger.commit.committer import Writer
from asset_ledger.ledger.content.packed import Packed
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.projections.runtime.live import Live

AGAIN: Final = 60.0
"""Seconds after one has died before the next is started."""

logger = logging.getLogger(__name__)


class Apart:
    """Where one server's writes are recorded. For its event loop."""

    def __init__(
        self, settings: Settings, writer: Writer, log: SqliteLog, packed: Packed, live: Live
    ) -> None:
        self._settings, self._writer = settings, writer
        self._log, self._packed, self._live = log, packed, live
        self._hearing = Hearing(
            head=log.learn, tables=live.learn, answers=writer.answer, lost=self._lost
        )
        self._turns: TurnsApart | None = None
        self._moving = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None

    @property
    def away(self) -> bool:
        """Whether a process of its own writes now."""
        return self._turns is not None

    def allow(self) -> None:
        """From here on, once the server is busy, let a process of its own write."""
        if self._settings.writer == "process":
            self._writer.when_busy(lambda: self._begin(self._leave()))

    @asynccontextmanager
    async def home(self) -> AsyncIterator[None]:
        """Inside, this process writes: for whoever changes the files themselves."""
        async with self._moving:
            if await self._return():
                self.allow()  # who begins meanwhile waits for this block to end
            yield

    async def close(self) -> None:
        """Write here again, until the end."""
        self._writer.when_busy(None)
        if self._later is not None:
            self._later.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        async with self._moving:
            await self._return()

    def _begin(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _leave(self) -> None:
        async with self._moving:
            if self._turns is not None or self._writer.failure is not None:
                return
            try:
                await self._hand_over(await TurnsApart.start(self._settings, self._hearing))
            except OSError as error:
                logger.warning("no process of its own writes: %s", error)
                self._try_again()

    async def _hand_over(self, turns: TurnsApart) -> None:
        async with self._writer.between_groups():
            try:
                await asyncio.to_thread(self._lend)
                await turns.open()
            except BaseException:
                await turns.kill()
                await asyncio.to_thread(self._take_back, turns)
                raise
            self._turns = turns
            self._writer.hand_to(turns)

    async def _return(self) -> bool:
        """Whether it was away: then it has recorded everything, and is gone."""
        turns = self._turns
        if turns is None:
            return False
        async with self._writer.between_groups():
            await turns.finish()
            await self._write_here(turns)
        return True

    async def _write_here(self, turns: TurnsApart) -> None:
        await asyncio.to_thread(self._take_back, turns)
        self._turns = None
        self._writer.hand_to(None)

    def _lost(self) -> None:
        if self._turns is not None:
            logger.error("the process that writes has died: writing in the server again")
            self._writer.hold()
            self._begin(self._recover(self._turns))

    async def _recover(self, turns: TurnsApart) -> None:
        """Its last commit stands, or not: the files say so once they are opened again."""
        async with self._moving:
            if self._turns is turns:
                await turns.kill()
                async with self._writer.between_groups():
                    await self._write_here(turns)
        self._try_again()

    def _try_again(self) -> None:
        self._writer.when_busy(None)
        self._later = asyncio.get_running_loop().call_later(AGAIN, self.allow)

    def _lend(self) -> None:
        for each in (self._packed, self._log, self._live):
            each.lend()

    def _take_back(self, turns: TurnsApart) -> None:
        self._packed.take_back()
        self._log.take_back(turns.failure)
        self._live.take_back()
