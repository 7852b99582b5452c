"""`python -m asset_ledger.api.workers.committer_worker DESCRIPTOR FOLDER LEVEL FORMAT`: commits
what a server sends through the socket DESCRIPTOR. LEVEL and FORMAT are those of its log.

It exits when the socket ends, so whenever its server ends. It still commits what it has received,
and the next server waits for that. It has one thread: a second one would compete for the
interpreter.
"""

import logging
import select
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from asset_ledger.api.engine import engine_of
from asset_ledger.api.logs import configure
from asset_ledger.api.workers.child import freeze_heap
from asset_ledger.api.workers.committer_wire import (
    Failure,
    Finish,
    Frames,
    Open,
    Opening,
    encode_result,
    frame,
)
from asset_ledger.ledger.commit.group_commit import GroupCommit
from asset_ledger.ledger.commit.loop import commit_groups
from asset_ledger.ledger.commit.requests import MAX_GROUP, GroupResult, Request
from asset_ledger.ledger.errors import LedgerError

CHUNK: Final = 1 << 18

logger = logging.getLogger(__name__)


def main() -> None:
    """Wait for `Open`, open the files, and commit until `Finish` or the end of the socket."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the server handles them, and then sends Finish
        signal.signal(number, signal.SIG_IGN)
    configure(*sys.argv[3:5])
    with socket.socket(fileno=int(sys.argv[1])) as server:
        channel = Channel(server)
        opening = channel.wait_for_open()
        if opening is not None:
            _serve(Path(sys.argv[2]), channel, opening)


def _serve(folder: Path, channel: "Channel", opening: Open) -> None:
    def progress(step: str, done: int, total: int) -> None:
        channel.send(Opening(step, done, total))

    try:
        engine = engine_of(folder, opening.database)
        with engine.open(progress, reopen=opening.reopen) as group_commit:
            freeze_heap()
            _commit(group_commit, channel)
    except (LedgerError, OSError) as error:
        channel.send(Failure.of(error))
    except Exception as error:
        logger.critical("the committer process gives up after an internal error", exc_info=True)
        channel.send(Failure.of(error))
        sys.exit(1)


def _commit(group_commit: GroupCommit, channel: "Channel") -> None:
    def deliver(result: GroupResult) -> None:
        channel.send(encode_result(result))

    commit_groups(group_commit, channel.gather, deliver)


class Channel:
    """The socket to the server. It buffers the next group while one is committed."""

    def __init__(self, server: socket.socket) -> None:
        self._server, self._frames = server, Frames()
        self._chunk = memoryview(bytearray(CHUNK))
        self._poll = select.poll()
        self._poll.register(server, select.POLLIN)
        self._messages: list[Any] = []
        self._ended = False

    def send(self, message: Any) -> None:
        """Send a message. Do nothing if the server has died."""
        with suppress(OSError):
            self._server.sendall(frame(message))

    def wait_for_open(self) -> Open | None:
        """Return the first message; None if the server ends before it sends one."""
        while not self._messages and not self._ended:
            self._receive(None)
        first = self._messages.pop(0) if self._messages else None
        return first if isinstance(first, Open) else None

    def gather(self, seconds: float) -> Sequence[Request] | None:
        """Return the waiting requests, [] after `seconds` without one, None after the last one."""
        group = self._requests()
        while len(group) < MAX_GROUP and not self._ended:
            if not self._receive(0 if group else seconds):
                break
            group += self._requests()
        return None if self._ended and not group else group

    def _requests(self) -> list[Request]:
        messages, self._messages = self._messages, []
        if messages and isinstance(messages[-1], Finish):
            self._ended = True
            messages.pop()
        return [request for message in messages for request in message]

    def _receive(self, seconds: float | None) -> bool:
        """Wait for bytes, at most so many seconds. Return whether bytes or the end came."""
        if not self._poll.poll(None if seconds is None else seconds * 1_000):
            return False
        size = 0
        with suppress(ConnectionError):
            size = self._server.recv_into(self._chunk)
        self._ended = self._ended or not size
        self._messages += self._frames.feed(self._chunk[:size])
        return True


if __name__ == "__main__":
    main()
