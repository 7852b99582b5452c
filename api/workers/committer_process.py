"""The server's side of the committer process: a `Worker` with an interpreter of its own.

Promise: every request is answered, or `Listener.lose` is called because the process died.
"""

import asyncio
import logging
import math
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.child import Child
from asset_ledger.api.workers.committer_wire import (
    Failure,
    Finish,
    Frames,
    Open,
    Opening,
    decode_result,
    frame,
)
from asset_ledger.ledger.commit.requests import CommandRequest, GroupResult, Listener, Request
from asset_ledger.ledger.commit.worker_queue import BEAT
from asset_ledger.ledger.log.event_log import Command
from asset_ledger.ledger.progress import Progress, no_progress

WORKER: Final = "asset_ledger.api.workers.committer_worker"
BUFFER: Final = 1 << 20
RECEIVE: Final = 1 << 18
"""Bytes that one system call receives, into the same memory each time."""
STOP_SECONDS: Final = 30.0
"""Seconds to close its files. A WAL checkpoint on a busy disk has taken ten."""
OPENING: Final = 300.0
"""Seconds without a sign after which a process is replaced that opens its files again. Tables that
catch up give signs."""
SAID: Final = 30.0
"""Seconds without a sign after each of which a start says what it waits for."""
DIED: Final = "the committer process died"

logger = logging.getLogger(__name__)


@asynccontextmanager
async def spawned(settings: Settings, progress: Progress) -> AsyncIterator["ProcessWorker | None"]:
    """Start the committer process of these settings, and end it; None if a thread commits.

    Enter it before the modules of a server are loaded: both processes then load theirs at once.
    """
    if settings.committer != "process":
        yield None
        return
    worker = ProcessWorker(settings, progress)
    await worker.spawn()
    try:
        yield worker
    finally:
        await worker.close()


class ProcessWorker(asyncio.BufferedProtocol):
    """A `Worker` in a process of its own, which opens, writes and closes the files."""

    eager: Final = 8  # it commits while the event loop reads other requests

    def __init__(self, settings: Settings, progress: Progress = no_progress) -> None:
        self._arguments = (str(settings.data_dir), settings.log_level, settings.log_format)
        self._progress, self._database = progress, settings.database
        self._child: Child | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._listener: Listener | None = None
        self._opened: asyncio.Future[GroupResult] | None = None
        self._is_open = False
        self._silence = 0.0
        self._received = memoryview(bytearray(RECEIVE))

    async def spawn(self) -> None:
        """Start the process, which loads its modules and waits. Raises OSError."""
        self._frames, self._commands = Frames(), dict[int, Command]()
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            ours.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: self, sock=ours)
            descriptor = theirs.fileno()
            arguments = (str(descriptor), *self._arguments)
            self._child = await Child.start(WORKER, *arguments, descriptors=[descriptor], logs=True)

    async def open(self, listener: Listener) -> GroupResult:
        """Have the process open the files; start one first if none runs.

        Raises DataFolderError, and ConnectionResetError if the process dies; TimeoutError if it
        opens the files again, and stands still.
        """
        reopen = self._listener is not None
        self._listener = listener
        self._opened = asyncio.get_running_loop().create_future()
        try:
            if self._transport is None:
                await self._kill()
                await self.spawn()
            self._send(Open(reopen, self._database))
            return await self._when_open(self._opened, OPENING if reopen else math.inf)
        except BaseException:
            self._opened.cancel()
            await self._kill()
            raise

    async def _when_open(
        self, opened: "asyncio.Future[GroupResult]", patience: float
    ) -> GroupResult:
        """Wait for the files. A first start waits without end: a migration may give no sign."""
        self._silence = 0.0
        while not (await asyncio.wait([opened], timeout=BEAT))[0]:
            self._silence += BEAT
            if self._silence >= patience:
                raise TimeoutError(f"no sign of it for {patience:.0f} s while it opened its files")
            if self._silence % SAID < BEAT:
                logger.warning(
                    "waiting for the committer process %d, which opens the files and has given no"
                    " sign for %d s",
                    *(self._child.pid if self._child else 0, self._silence),
                )
        return opened.result()

    def send(self, requests: Sequence[Request]) -> None:
        """Have these requests committed, in this order."""
        for request in requests:
            if isinstance(request, CommandRequest):
                self._commands[request.number] = request.command
        self._send(requests)

    def give_up(self) -> None:
        """Close the socket, as the death of the process does. The next `open` kills the process."""
        if self._transport is not None:
            logger.error("the committer process has been silent for too long: replacing it")
            self._transport.abort()

    async def close(self) -> None:
        """Have the process commit what was sent, close the files and exit."""
        self._is_open = False
        if self._child is None:
            return
        if self._listener is None:  # it has opened nothing
            await self._kill()
            return
        self._send(Finish())
        if not await self._child.stop(STOP_SECONDS):
            logger.warning("the committer process did not stop within %d s: killed", STOP_SECONDS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a socket

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._received

    def buffer_updated(self, nbytes: int) -> None:
        for message in self._frames.feed(self._received[:nbytes]):
            self._take(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(ConnectionResetError(DIED))
        if self._is_open and self._listener is not None:
            self._is_open = False
            self._listener.lose(DIED)

    def _send(self, message: Any) -> None:
        if self._transport is not None:  # None after its death, which `connection_lost` reports
            self._transport.write(frame(message))

    def _take(self, message: Any) -> None:
        match message:
            case GroupResult():
                self._receive(decode_result(message, self._commands))
            case Opening():
                self._silence = 0.0
                self._progress(*message)
            case Failure() if self._opened is not None and not self._opened.done():
                self._opened.set_exception(message.error())

    def _receive(self, result: GroupResult) -> None:
        if self._is_open and self._listener is not None:
            self._listener.receive(result)
        elif self._opened is not None and not self._opened.done():
            self._is_open = True
            self._opened.set_result(result)

    async def _kill(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        if self._child is not None:
            await self._child.kill()
        self._child = None
