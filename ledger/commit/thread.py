"""Run group commits in a thread of this process: for the embedded SDK and `--committer thread`."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from asset_ledger.ledger.commit.group_commit import GroupCommit
from asset_ledger.ledger.commit.loop import commit_groups
from asset_ledger.ledger.commit.requests import MAX_GROUP, GroupResult, Listener, Request

Files = Callable[[], AbstractContextManager[GroupCommit]]
"""Open all files to write, and close them at the end of the block."""


class ThreadWorker:
    """A `Worker` whose thread opens, writes and closes the files."""

    eager: Final = MAX_GROUP  # a thread woken earlier waits for the GIL while the loop is busy

    def __init__(self, files: Files) -> None:
        self._files = files
        self._queue: SimpleQueue[Sequence[Request] | None] = SimpleQueue()
        self._thread: Thread | None = None

    async def open(self, listener: Listener) -> GroupResult:
        """Start the thread, which opens the files. Raises what opening them raises."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._opened: asyncio.Future[GroupResult] = self._loop.create_future()
        self._thread = Thread(target=self._run, name="ledger-committer")
        self._thread.start()
        try:
            return await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            await self.close()
            raise

    def send(self, requests: Sequence[Request]) -> None:
        """Queue these requests for commit, in this order."""
        self._queue.put(requests)

    def give_up(self) -> None:
        """Do nothing: a thread cannot be ended. Readiness shows that it is silent."""

    async def close(self) -> None:
        """Commit what was sent, then close the files."""
        self._queue.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            with self._files() as group_commit:
                commit_groups(group_commit, self._gather, self._deliver)
        except BaseException as error:
            self._loop.call_soon_threadsafe(self._end, error)

    def _deliver(self, result: GroupResult) -> None:
        with suppress(RuntimeError):  # the loop was closed: no caller is left to answer
            self._loop.call_soon_threadsafe(self._receive, result)

    def _receive(self, result: GroupResult) -> None:
        if self._opened.done():
            self._listener.receive(result)
        else:
            self._opened.set_result(result)

    def _end(self, error: BaseException) -> None:
        if self._opened.done():
            self._listener.lose(repr(error))
        else:
            self._opened.set_exception(error)

    def _gather(self, seconds: float) -> Sequence[Request] | None:
        group: list[Request] = []
        while len(group) < MAX_GROUP:
            try:
                requests = self._queue.get(timeout=seconds) if seconds else self._queue.get_nowait()
            except Empty:
                break
            if requests is None:
                self._queue.put(None)  # the next call ends the loop
                return group or None
            group += requests
            seconds = 0.0
        return group
