"""The committer process: its lock, its signals, and when it exits."""

import fcntl
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.committer_process import WORKER
from asset_ledger.api.workers.committer_wire import Failure, Frames, Open, Opening, frame
from asset_ledger.ledger.commit.requests import CheckpointRequest, GroupResult
from tests.api.running import serving
from tests.api.workers.busy import PATIENCE

DEFECT: Final = (
    "from asset_ledger.api.workers import committer_worker as w;"
    " w.GroupCommit.run = lambda *_: 1 / 0; w.main()"
)
"""A worker with an internal error in its first group."""


class ServerEnd:
    """The server's end of the socket to a committer."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._frames = end, Frames()
        self._received: list[object] = []

    def send(self, message: object) -> None:
        self._end.sendall(frame(message))

    def receive(self) -> object:
        """Return the next message, without the progress of the opening."""
        while True:
            while self._received:
                if not isinstance(message := self._received.pop(0), Opening):
                    return message
            data = self._end.recv(1 << 16)
            assert data, "the committer closed the socket"
            self._received += self._frames.feed(data)

    def close(self) -> None:
        self._end.close()


@contextmanager
def worker(folder: Path, *program: str) -> Iterator[tuple["subprocess.Popen[bytes]", ServerEnd]]:
    """A committer process for this folder, and the server's end of its socket."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    with theirs:
        command = [sys.executable, "-P", *(program or ("-m", WORKER))]
        command += [str(theirs.fileno()), str(folder), "info", "text"]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
    with process, ours:
        try:
            yield process, ServerEnd(ours)
        finally:
            process.kill()


def is_held(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, bytes]:
    """Wait for the end of the process. Return its exit code and its standard error."""
    _, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, errors


@pytest.fixture
async def folder(data_dir: Path) -> Path:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created()
    return data_dir


def test_a_committer_holds_its_lock_while_its_files_are_open(folder: Path) -> None:
    lock = folder / "committer.lock"
    with worker(folder) as (process, server):
        server.send(Open(reopen=False))
        opened = server.receive()
        assert isinstance(opened, GroupResult)
        assert (opened.head.position, opened.tables.generation, opened.tables.position) == (2, 1, 2)
        assert is_held(lock)
        server.close()
        assert ended(process) == (0, b"")
    assert not is_held(lock)


def test_a_committer_whose_server_dies_while_it_loads_exits_silently(folder: Path) -> None:
    with worker(folder) as (process, server):
        server.close()
        assert ended(process) == (0, b"")
    assert not is_held(folder / "committer.lock")


def test_a_committer_ignores_the_signals_that_stop_its_server(folder: Path) -> None:
    with worker(folder) as (process, server):
        server.send(Open(reopen=False))
        assert isinstance(server.receive(), GroupResult)
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        server.send([CheckpointRequest(1, 1, "note")])
        kept = server.receive()
        assert isinstance(kept, GroupResult)
        assert kept.answers == [(1, "note")]
        server.close()
        assert ended(process) == (0, b"")


def test_a_committer_exits_at_once_on_an_internal_error(folder: Path) -> None:
    with worker(folder, "-c", DEFECT) as (process, server):
        server.send(Open(reopen=False))
        assert isinstance(server.receive(), GroupResult)
        server.send([CheckpointRequest(1, 1, "note")])
        code, errors = ended(process)
        assert code == 1
        assert b"gives up" in errors
        assert b"ZeroDivisionError" in errors


def test_a_committer_that_cannot_open_a_file_reports_it_and_exits(folder: Path) -> None:
    (folder / "ledger.db").write_bytes(b"no database" * 1000)
    with worker(folder) as (process, server):
        server.send(Open(reopen=False))
        refusal = server.receive()
        assert isinstance(refusal, Failure)
        assert "ledger.db: file is not a database" in str(refusal.error())
        assert ended(process) == (0, b"")
