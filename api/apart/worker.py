"""`python -m api.apart.worker DESCRIPTOR FOLDER LEVEL FORMAT`: records what a server is asked to.

LEVEL and FORMAT are those of its log. It dies with its server: its socket ends when that does,
however it ends. What was sent before that is still recorded, and the next server waits for it.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final

from api.apart.wire import (
    Finish,
    Frames,
    Open,
    Opened,
    Ready,
    Tables,
    Told,
    answer_sent,
    failure_of,
    frame,
    incoming,
)
from api.logs import configure
from ledger.codec import Codec
from ledger.content.packed import PACKED, Packed
from ledger.errors import DataFolderError
from ledger.feed import Feed
from ledger.files import hold_writing
from ledger.log.sqlite import SqliteLog
from ledger.opening import read_identity
from ledger.threads import ThreadedTurns
from ledger.waiting import Answers
from projections.database import Database, in_use
from projections.live import Live
from projections.rebuild import PROJECTIONS
from projections.runner import Runner
from projections.views import RETRY_SECONDS

CHUNK: Final = 1 << 18

logger = logging.getLogger(__name__)


def main() -> None:
    """Load everything, wait until the files are ours, and record until the server has enough."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the server's to obey: it says when to stop
        signal.signal(number, signal.SIG_IGN)
    configure(*sys.argv[3:5])
    threading.excepthook = _give_up
    folder = Path(sys.argv[2])
    # The lock first: who starts after our server has died waits for us before he opens a file.
    with hold_writing(folder), socket.socket(fileno=int(sys.argv[1])) as server:
        _say(server, Ready())
        messages = _messages(server)
        if isinstance(next(messages, None), Open):
            with ExitStack() as stack:
                Desk(stack, folder, server).serve(messages)


def _say(server: socket.socket, message: Any) -> None:
    with suppress(OSError):  # a server that has gone is told nothing
        server.sendall(frame(message))


def _give_up(raised: threading.ExceptHookArgs) -> None:
    """A thread that records has ended: the server hears of it as soon as this process has, too."""
    logger.critical("the process that writes gives up", exc_info=raised.exc_value)
    os._exit(1)


def _messages(server: socket.socket) -> Iterator[Any]:
    """What the server says, until it says no more."""
    frames = Frames()
    with suppress(ConnectionError):
        while data := server.recv(CHUNK):
            yield from frames.feed(data)


class Desk:
    """The files that are written to, open, and the threads that write."""

    def __init__(self, stack: ExitStack, folder: Path, server: socket.socket) -> None:
        self._server, self._sending = server, Lock()
        codec = Codec()
        packed = stack.enter_context(closing(Packed(folder / "content" / PACKED)))
        self._log = stack.enter_context(closing(SqliteLog(folder / "ledger.db", codec)))
        feed = Feed(self._log, codec, read_identity(self._log, codec).log_id)
        runner = stack.enter_context(closing(Runner(_tables(folder), feed)))
        self._live = Live(runner)
        self._turns = ThreadedTurns(self._log, packed, self._live, self._tell)
        stack.callback(self._turns.close)
        self._said = self._tables_now()
        self._turns.behind = self._said.position < self._log.head().position

    def serve(self, messages: Iterator[Any]) -> None:
        """Record what comes, until nothing does."""
        _say(self._server, Opened(self._log.head()))
        Thread(target=self._retry, daemon=True).start()
        for message in messages:
            if isinstance(message, Finish):
                return
            self._turns.put([incoming(wanted) for wanted in message])

    def _tell(self, answers: Answers) -> None:
        outcomes = [(number, answer_sent(answer)) for number, answer in answers.outcomes]
        failure = failure_of(self._turns.failure)
        with self._sending:
            self._said = tables = self._tables_now()
            told = Told(outcomes, *answers[1:], self._log.head(), tables, failure)
            _say(self._server, told)

    def _retry(self) -> None:
        """Bring up the tables that a group left behind, now and then."""
        while True:
            time.sleep(RETRY_SECONDS)
            while self._live.turn():
                pass
            with self._sending:  # or an older position would overtake a newer one
                if (tables := self._tables_now()) != self._said:
                    self._said = tables
                    _say(self._server, tables)

    def _tables_now(self) -> Tables:
        position, error = self._live.state
        return Tables(position, failure_of(error))


def _tables(folder: Path) -> Database:
    number = in_use(folder)
    if number is None:
        raise DataFolderError(f"{folder} has no tables to fill")
    return Database(folder, number, PROJECTIONS)


if __name__ == "__main__":
    main()
