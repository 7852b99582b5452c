"""The writing process, seen from the server's event loop: what it is sent, what it tells.

Promise: whoever was sent is told what became of his, if only that nobody knows.
"""

import asyncio
import logging
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.committer_wire import (
    Finish,
    Frames,
    Open,
    Opened,
    Ready,
    Tables,
    Told,
    answer_heard,
    frame,
    outgoing,
)
from asset_ledger.ledger.commit.requests import Answers, Ticket, Wanted
from asset_ledger.ledger.errors import OutcomeUnknownError, StorageFailedError
from asset_ledger.ledger.log.event_log import Head

WORKER: Final = "asset_ledger.api.workers.committer_worker"
BUFFER: Final = 1 << 20
PATIENCE: Final = 30.0
"""Seconds for opening the files, and for closing them: writes wait meanwhile. One that hangs is a
defect; one that checkpoints on a busy disk has taken ten."""
DIED: Final = "the process that writes has died"
GONE: Final = f"{DIED}; ask again with the same Idempotency-Key"

logger = logging.getLogger(__name__)


class Hearing:
    """What a server does with what it is told. `lost`: nobody is there any more."""

    def __init__(
        self,
        *,
        head: Callable[[Head], None],
        tables: Callable[[int, Exception | None], None],
        answers: Callable[[Answers], None],
        lost: Callable[[], None],
    ) -> None:
        self.head, self.tables, self.answers, self.lost = head, tables, answers, lost


class TurnsApart(asyncio.Protocol):
    """The turns of another process."""

    early: Final = 8  # it works while this one goes on to read what others send

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._sent: dict[int, Wanted] = {}
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.WriteTransport | None = None
        self._process: Process | None = None
        self._finishing = False
        self.failure: StorageFailedError | None = None

    @classmethod
    async def start(cls, settings: Settings, hearing: Hearing) -> "TurnsApart":
        """One that has loaded everything, and waits. Raises OSError where there can be none."""
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            turns = cls(hearing)
            ours.setblocking(False)
            await turns._loop.create_unix_connection(lambda: turns, sock=ours)
            turns._process = await asyncio.create_subprocess_exec(
                # -P: no module of the folder that the server was started in takes a name of ours
                *(sys.executable, "-P", "-m", WORKER, str(theirs.fileno())),
                *(str(settings.data_dir), settings.log_level, settings.log_format),
                pass_fds=[theirs.fileno()],
                stdin=DEVNULL,
                stdout=DEVNULL,
                start_new_session=True,  # a Ctrl-C is for the server, which says when to stop
            )
        try:
            await turns._ready
        except BaseException:
            await turns.kill()
            raise
        return turns

    @property
    def alive(self) -> bool:
        """Whether it is there."""
        return self._transport is not None

    async def open(self) -> None:
        """Have it open the files, which nobody else writes to. Raises OSError if it does not."""
        self._say(Open())
        async with asyncio.timeout(PATIENCE):
            await self._opened
        if not self.alive:  # it has died right after
            raise ConnectionResetError(DIED)

    def put(self, wanted: Sequence[Wanted]) -> None:
        """Send them."""
        for each in wanted:
            self._sent[each.number] = each
        if self._transport is None:
            self._give_up()
        else:
            self._say([outgoing(each) for each in wanted])

    async def finish(self) -> None:
        """Have it close the files and exit; it has answered everything."""
        self._finishing = True
        self._say(Finish())
        try:
            async with asyncio.timeout(PATIENCE):
                await self._ended()
        except TimeoutError:  # nothing is under way: what it leaves to close, the next one closes
            logger.warning("the process that writes did not stop when it was told to: killed")
            await self.kill()

    async def kill(self) -> None:
        """End it, if it has not ended."""
        self._finishing = True
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._ended()

    async def _ended(self) -> None:
        if self._process is not None:
            await self._process.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """For asyncio."""
        self._transport = transport  # type: ignore[assignment]  # of a socket

    def data_received(self, data: bytes) -> None:
        """For asyncio."""
        for message in self._frames.feed(data):
            self._hear(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """For asyncio."""
        self._transport = None
        for waited in (self._ready, self._opened):
            if not waited.done():
                waited.set_exception(ConnectionResetError(DIED))
                waited.exception()  # heard, also where nobody waits
        if not self._finishing:
            self._hearing.lost()
            self._give_up()

    def _say(self, message: Any) -> None:
        if self._transport is not None:
            self._transport.write(frame(message))

    def _hear(self, message: Any) -> None:
        if self._finishing:  # all is answered, and the log and the tables are somebody else's
            return
        match message:
            case Told():
                self._told(message)
            case Tables():
                self._learn(message)
            case Ready():
                self._ready.set_result(None)
            case Opened():
                self._hearing.head(message.head)
                self._opened.set_result(None)

    def _learn(self, tables: Tables) -> None:
        self._hearing.tables(tables.position, tables.error and tables.error.error())

    def _told(self, told: Told) -> None:
        """The log and the tables first: whoever is answered may read them at once."""
        failure = told.failure and told.failure.error()
        self.failure = failure if isinstance(failure, StorageFailedError) else None
        self._hearing.head(told.head)
        self._learn(told.tables)
        outcomes = []
        for number, sent in told.outcomes:
            wanted = self._sent.pop(number)
            command = wanted.command if isinstance(wanted, Ticket) else None
            outcomes.append((number, answer_heard(sent, command)))
        self._hearing.answers(Answers(outcomes, told.behind, told.size, told.seconds))

    def _give_up(self) -> None:
        """It has died: whatever it was sent may be recorded, or not."""
        numbers, self._sent = list(self._sent), {}
        unknown = [(number, OutcomeUnknownError(GONE)) for number in numbers]
        if unknown:
            self._hearing.answers(Answers(unknown, behind=True, size=0, seconds=0.0))
