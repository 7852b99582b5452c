"""`python -m api.apart.worker DESCRIPTOR FOLDER LEVEL FORMAT`: records what a server is asked to.

LEVEL and FORMAT are those of its log. It dies with its server: its socket ends when that does,
however it ends. What was sent before that is still recorded, and the next server waits for it.

One thread does it all. A second would take the interpreter from the first, and where two processors
are one core, what runs beside the event loop only slows it.
"""

import logging
import select
import signal
import socket
import sys
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Final

from asset_ledger.api.logs import configure
from asset_ledger.api.workers.committer_wire import (
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
from asset_ledger.ledger.commit.group_commit import Recording
from asset_ledger.ledger.commit.requests import GROUP, Answers, Wanted
from asset_ledger.ledger.content.packed import PACKED, Packed
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.folder_lock import hold_writing
from asset_ledger.projections.runtime.database import Database, in_use
from asset_ledger.projections.runtime.live import Live
from asset_ledger.projections.runtime.registry import PROJECTIONS
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.serving import RETRY_SECONDS

CHUNK: Final = 1 << 18

logger = logging.getLogger(__name__)


def main() -> None:
    """Load everything, wait until the files are ours, and record until the server has enough."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the server's to obey: it says when to stop
        signal.signal(number, signal.SIG_IGN)
    configure(*sys.argv[3:5])
    folder = Path(sys.argv[2])
    # The lock first: who starts after our server has died waits for us before he opens a file.
    with hold_writing(folder), socket.socket(fileno=int(sys.argv[1])) as server:
        _say(server, Ready())
        inbox = Inbox(server)
        if inbox.opened():
            _record(folder, server, inbox)


def _record(folder: Path, server: socket.socket, inbox: "Inbox") -> None:
    try:
        with ExitStack() as stack:
            Desk(stack, folder, server).serve(inbox)
    except Exception:
        logger.critical("the process that writes gives up", exc_info=True)
        sys.exit(1)


def _say(server: socket.socket, message: Any) -> None:
    with suppress(OSError):  # a server that has gone is told nothing
        server.sendall(frame(message))


class Inbox:
    """What the server says. While one group is recorded, the next gathers in the socket.

    `finished`: it says no more.
    """

    def __init__(self, server: socket.socket) -> None:
        self._server, self._frames = server, Frames()
        self._chunk = memoryview(bytearray(CHUNK))
        self._poll = select.poll()
        self._poll.register(server, select.POLLIN)
        self._messages: list[Any] = []
        self.finished = False

    def opened(self) -> bool:
        """Wait until the files are ours. False if the server goes instead."""
        while not self._messages and not self.finished:
            self._receive(None)
        return bool(self._messages) and isinstance(self._messages.pop(0), Open)

    def gather(self, seconds: float) -> list[Wanted]:
        """Whoever waits; nobody, if for so many seconds nobody came."""
        wanted = self._come()
        while len(wanted) < GROUP and not self.finished:
            if not self._receive(0 if wanted else seconds):
                break
            wanted += self._come()
        return wanted

    def _come(self) -> list[Wanted]:
        messages, self._messages = self._messages, []
        if any(isinstance(message, Finish) for message in messages):
            self.finished = True  # it comes last
            messages.pop()
        return [incoming(each) for message in messages for each in message]

    def _receive(self, seconds: float | None) -> bool:
        """Whether anything has come, the end included."""
        if not self._poll.poll(seconds and seconds * 1_000):
            return False
        size = 0
        with suppress(ConnectionError):
            size = self._server.recv_into(self._chunk)
        self.finished = self.finished or not size
        self._messages += self._frames.feed(self._chunk[:size])
        return True


class Desk:
    """The files that are written to, open, and what becomes of each group."""

    def __init__(self, stack: ExitStack, folder: Path, server: socket.socket) -> None:
        self._server = server
        codec = Codec()
        packed = stack.enter_context(closing(Packed(folder / "content" / PACKED)))
        self._log = stack.enter_context(closing(SqliteLog(folder / "ledger.db", codec)))
        feed = Feed(self._log, codec, read_identity(self._log, codec).log_id)
        runner = stack.enter_context(closing(Runner(_tables(folder), feed)))
        self._live = Live(runner)
        self._recording = Recording(self._log, packed, self._live)
        self._said = self._tables_now()
        self._recording.behind = self._said.position < self._log.head().position

    def serve(self, inbox: Inbox) -> None:
        """Record what comes, until nothing does. Now and then, bring up tables left behind."""
        _say(self._server, Opened(self._log.head()))
        due = time.monotonic() + RETRY_SECONDS
        while not inbox.finished:
            if wanted := inbox.gather(max(0.0, due - time.monotonic())):
                self._tell(self._recording.record(wanted))
            if time.monotonic() >= due:
                more = self._live.turn()
                due = time.monotonic() + (0 if more else RETRY_SECONDS)
                self._tell_of_tables()

    def _tell(self, answers: Answers) -> None:
        outcomes = [(number, answer_sent(answer)) for number, answer in answers.outcomes]
        self._said = self._tables_now()
        failure = failure_of(self._recording.failure)
        told = Told(outcomes, *answers[1:], self._log.head(), self._said, failure)
        _say(self._server, told)

    def _tell_of_tables(self) -> None:
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
