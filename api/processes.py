"""Several processes that serve one address: started, watched, replaced and stopped together.

This process binds the sockets and answers nothing. Each child inherits the sockets, and is a server
of the same database with a data folder of its own, `process-<number>`.
"""

import asyncio
import logging
import pickle
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from asset_ledger.api.serving import DRAIN, Listening
from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.child import Child
from asset_ledger.api.workers.committer_process import STOP_SECONDS
from asset_ledger.api.workers.committer_wire import Failure, Frames, Opening
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.progress import Progress

CHILD: Final = "asset_ledger.api.server_process"
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
"""Seconds until a process that ended is replaced. The pause doubles with each one that was not
ready for as long as the longest pause."""
CLOSING: Final = DRAIN + 2 * STOP_SECONDS
"""Seconds that a process may take from the end of `stop_delay` until it has ended."""
CHUNK: Final = 65_536

logger = logging.getLogger(__name__)


class Given(NamedTuple):
    """What a child gets on its standard input: its settings, and the numbers of its sockets.

    `folder`: the data folder of its parent, whose lock file has the secret of this server.
    """

    settings: Settings
    http: tuple[int, ...]
    s3: tuple[int, ...]
    folder: Path


class Ready(NamedTuple):
    """From a child: it answers requests."""


class Processes:
    """The processes of one server. For one event loop.

    `ready` is called with the number and the pid of each process that answers requests.
    """

    def __init__(
        self,
        settings: Settings,
        sockets: Listening,
        progress: Progress,
        ready: Callable[[int, int], None],
    ) -> None:
        self._settings, self._sockets = settings, sockets
        self._progress, self._ready = progress, ready
        self._running: dict[int, Child] = {}
        self._stops = asyncio.Event()
        self._signals = 0

    async def run(self) -> bool:
        """Run until SIGINT or SIGTERM, which is passed on. A second signal kills the processes.

        Return whether each of them ended by itself. Raises the error of the first start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        is_open = loop.create_future()
        first = asyncio.create_task(self._keep(1, is_open))
        await asyncio.wait([first, is_open], return_when=asyncio.FIRST_COMPLETED)
        others = range(2, self._settings.processes + 1) if is_open.done() else ()
        keepers = [first, *(asyncio.create_task(self._keep(number)) for number in others)]
        ended = await asyncio.gather(*keepers, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error
        return all(ended)

    def _stop(self) -> None:
        self._signals += 1
        self._stops.set()
        self._sockets.close()  # else new connections would wait for this process
        for child in self._running.values():
            child.send_signal(signal.SIGTERM if self._signals == 1 else signal.SIGKILL)

    async def _keep(self, number: int, is_open: "asyncio.Future[None] | None" = None) -> bool:
        """Run one process, and replace it when it ends. Return whether the last one ended well.

        With `is_open`, an error of its first start is raised.
        """
        pause = FIRST_PAUSE
        while not self._stops.is_set():
            began = time.monotonic()
            code, error = await self._run_once(number, is_open)
            if self._stops.is_set():
                return code in (0, -signal.SIGTERM)
            if is_open is not None and not is_open.done():
                raise error or DataFolderError(f"a process ended at its start, with code {code}")
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            reason = error or f"it ended with code {code}"
            logger.error("process %d: %s; another one starts in %.1f s", number, reason, pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stops.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return True

    async def _run_once(
        self, number: int, is_open: "asyncio.Future[None] | None"
    ) -> tuple[int, Exception | None]:
        """Run one process to its end. Return its exit code, and the error that it reported."""
        given = self._given(number)
        async with await Child.start(
            CHILD, pipes=True, logs=True, descriptors=[*given.http, *given.s3]
        ) as child:
            self._running[number] = child
            if self._stops.is_set():  # the signal came while it was started
                child.send_signal(signal.SIGTERM)
            ending = asyncio.create_task(self._end_in_time(child))
            try:
                with suppress(ConnectionError):
                    child.stdin.write(pickle.dumps(given))
                    await child.stdin.drain()
                error = await self._listen(number, child, is_open)
                return await child.wait(), error
            finally:
                del self._running[number]
                ending.cancel()

    def _given(self, number: int) -> Given:
        folder = self._settings.data_dir
        settings = self._settings.model_copy(update={"data_dir": folder / f"process-{number}"})
        http = tuple(each.fileno() for each in self._sockets.http)
        s3 = tuple(each.fileno() for each in self._sockets.s3)
        return Given(settings, http, s3, folder)

    async def _listen(
        self, number: int, child: Child, is_open: "asyncio.Future[None] | None"
    ) -> Exception | None:
        """Take the messages of a process until it ends. Return the error that it reported."""
        error, frames = None, Frames()
        while data := await child.stdout.read(CHUNK):
            for message in frames.feed(data):
                match message:
                    case Opening() if number == 1:
                        self._progress(*message)
                    case Failure():
                        error = message.error()
                    case Ready():
                        self._ready(number, child.pid)
                        if is_open is not None and not is_open.done():
                            is_open.set_result(None)
        return error

    async def _end_in_time(self, child: Child) -> None:
        """Kill a process that has not ended long after the signal."""
        await self._stops.wait()
        await asyncio.sleep(self._settings.stop_delay + CLOSING)
        logger.warning("process %d did not stop in time: killed", child.pid)
        child.send_signal(signal.SIGKILL)
