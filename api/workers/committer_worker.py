"""`python -m asset_ledger.api.workers.committer_worker DESCRIPTOR FOLDER LEVEL FORMAT`: commits
what a server sends through the socket DESCRIPTOR. LEVEL and FORMAT are those of its log.

It dies with its server: the socket ends when the server does, however that ends. What was sent
before is still committed, and the next server waits for it. One thread does it all: a second would
take the interpreter from the first.
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

from asset_ledger.api.engine import open_group_commit
from asset_ledger.api.logs import configure
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
    """Load everything, open the files when the server asks, and commit until it has enough."""
    for number in (signal.SIGINT, signal.SIGTERM):  # for the server, which says when to stop
        signal.signal(number, signal.SIG_IGN)
    configure(*sys.argv[3:5])
    with socket.socket(fileno=int(sys.argv[1])) as server:
        channel = Channel(server)
        opening = channel.wait_for_open()
        if opening is not None:
            _serve(Path(sys.argv[2]), channel, opening)


def _serve(folder: Path, channel: "Channel", opening: Open) -> None:
    def progress(step: str, done: int, total: int) -> None:
        channel.say(Opening(step, done, total))

    try:
        with open_group_commit(folder, progress, again=opening.again) as group_commit:
            _commit(group_commit, channel)
    except (LedgerError, OSError) as error:
        channel.say(Failure.of(error))
    except Exception as error:
        logger.critical("the committer process gives up", exc_info=True)
        channel.say(Failure.of(error))
        sys.exit(1)


def _commit(group_commit: GroupCommit, channel: "Channel") -> None:
    def deliver(result: GroupResult) -> None:
        channel.say(encode_result(result))

    commit_groups(group_commit, channel.gather, deliver)


class Channel:
    """The socket to the server. While one group is committed, the next gathers in it."""

    def __init__(self, server: socket.socket) -> None:
        self._server, self._frames = server, Frames()
        self._chunk = memoryview(bytearray(CHUNK))
        self._poll = select.poll()
        self._poll.register(server, select.POLLIN)
        self._messages: list[Any] = []
        self._ended = False

    def say(self, message: Any) -> None:
        """Send a message. A server that has gone is told nothing."""
        with suppress(OSError):
            self._server.sendall(frame(message))

    def wait_for_open(self) -> Open | None:
        """The first message; None if the server goes before it."""
        while not self._messages and not self._ended:
            self._receive(None)
        first = self._messages.pop(0) if self._messages else None
        return first if isinstance(first, Open) else None

    def gather(self, seconds: float) -> Sequence[Request] | None:
        """The requests that wait; none after so many seconds without one; None at the end."""
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
        """Whether anything has come, the end included."""
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
