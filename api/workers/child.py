"""Child processes of the server: start, wait, stop and kill one; and, in the child, end with it.

Promise: a cancelled caller leaves no child running. A child that calls `exit_with_server` ends when
its server does, however that ends.
"""

import asyncio
import gc
import os
import select
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from threading import Thread
from typing import Final, Self, TypeVar

T = TypeVar("T")

MAX_LINE: Final = 64 * 1024
"""Bytes of the longest line that a child writes, unless its caller expects longer ones."""

NEW_OBJECTS: Final = 10_000
"""New containers between two passes of garbage collection: some megabytes at most."""

STDIN: Final = 0

_AUTOGROUP: Final = Path("/proc/self/autogroup")


class Child:
    """A child process. For the event loop that started it.

    `stdin` and `stdout` are its pipes; they raise RuntimeError for a child without pipes.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(
        cls,
        module: str,
        *arguments: str,
        pipes: bool = False,
        descriptors: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        logs: bool = False,
        max_line: int = MAX_LINE,
    ) -> Self:
        """Start `python -m module arguments`. Raises OSError if no process can be started.

        `pipes`: its standard input and output are pipes; otherwise they are /dev/null.
        `descriptors`: open files that it inherits under their numbers, such as a socket.
        `environment`: all of its variables; None copies those of the server.
        `logs`: its standard error is that of the server; otherwise it is /dev/null.
        """
        process = await asyncio.create_subprocess_exec(
            # -P: no module of the server's working directory hides one of ours
            *(sys.executable, "-P", "-m", module, *arguments),
            stdin=PIPE if pipes else DEVNULL,
            stdout=PIPE if pipes else DEVNULL,
            stderr=None if logs else DEVNULL,
            pass_fds=descriptors,
            env=environment,
            limit=max_line,
            start_new_session=True,  # a Ctrl-C reaches only the server, which ends its children
        )
        return cls(process)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    @property
    def stdin(self) -> StreamWriter:
        return _pipe(self._process.stdin)

    @property
    def stdout(self) -> StreamReader:
        return _pipe(self._process.stdout)

    async def wait(self) -> int:
        """Wait until it has ended. Return its exit code, or minus the signal that ended it."""
        return await self._process.wait()

    async def stop(self, seconds: float) -> bool:
        """Wait until it exits, at most so many seconds, then kill it. Return False if killed.

        The caller has to ask the child to exit before, by a message that the two share.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            return False
        finally:
            await self.kill()
        return True

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def kill(self) -> None:
        """Send SIGKILL, unless it has ended, and wait until it has ended."""
        self.send_signal(SIGKILL)
        await self.wait()


def _pipe(stream: T | None) -> T:
    if stream is None:
        raise RuntimeError("this child process was started without pipes")
    return stream


def exit_with_server(descriptor: int = STDIN) -> None:
    """In the child: exit as soon as the server has died. A thread of its own watches.

    `descriptor` is the child's end of a pipe or socket of which the server has the other end.
    """
    Thread(target=_exit_after, args=(descriptor,), name="exit-with-server", daemon=True).start()


def server_has_died(descriptor: int = STDIN, *, wait: float | None = 0) -> bool:
    """In the child: return whether the other end of the descriptor is closed.

    Unread bytes in a pipe do not hide its end. `wait`: for so many seconds; None for ever.
    """
    poll = select.poll()
    poll.register(descriptor, 0)  # 0: report no readiness to read, only the hang-up
    return bool(poll.poll(None if wait is None else wait * 1_000))


def give_way(*, nice: int) -> None:
    """In the child: lower its priority. Linux may compare sessions first: sched(7), autogroup."""
    os.nice(nice)
    with suppress(OSError):
        _AUTOGROUP.write_text(str(nice // 2), "ascii")


def freeze_heap() -> None:
    """Exempt what a start has loaded from garbage collection, and collect less often.

    What was loaded stays until the end, and a pass over it delays every request that waits. What a
    request makes is mostly free when it ends, so Python's 700 new objects are a pass for nothing.
    """
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


def _exit_after(descriptor: int) -> None:
    server_has_died(descriptor, wait=None)
    os._exit(1)
