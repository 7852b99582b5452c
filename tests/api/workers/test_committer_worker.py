"""The writing process by itself, before anybody has it write: what it holds, and when it goes."""

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
from asset_ledger.api.workers.committer_wire import Frames, Open, Opened, Ready, frame
from asset_ledger.ledger.commit.requests import Signing
from tests.api.running import serving
from tests.api.workers.busy import PATIENCE

DEFECT: Final = (
    "from asset_ledger.api.workers import committer_worker as w;"
    " w.Desk._tell = lambda *_: 1 / 0; w.main()"
)
"""A worker that meets a defect of ours at its first answer."""


@contextmanager
def worker(
    folder: Path, *program: str
) -> Iterator[tuple["subprocess.Popen[bytes]", socket.socket]]:
    """A writing process for this folder, and the server's end of its socket."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    with theirs:
        command = [sys.executable, "-P", *(program or ("-m", WORKER))]
        command += [str(theirs.fileno()), str(folder), "info", "text"]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
    with process, ours:
        try:
            yield process, ours
        finally:
            process.kill()


def told(server: socket.socket) -> object:
    """The next message."""
    frames = Frames()
    for message in frames.feed(server.recv(1 << 16)):
        return message
    raise AssertionError("the process went, or said half a message")


def is_held(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, bytes]:
    """Its exit code, and what it said on standard error."""
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said


@pytest.fixture
async def folder(data_dir: Path) -> Path:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created()
    return data_dir


def test_from_its_first_word_on_whoever_starts_on_the_folder_waits_for_it(folder: Path) -> None:
    lock = folder / "writer.lock"
    with worker(folder) as (process, server):
        assert told(server) == Ready()
        assert is_held(lock)
        server.sendall(frame(Open()))
        heard = told(server)
        assert isinstance(heard, Opened)
        assert heard.head.position == 2
        assert is_held(lock)
        server.close()
        assert ended(process) == (0, b"")
    assert not is_held(lock)


def test_whose_server_dies_while_it_loads_it_goes_without_a_word(folder: Path) -> None:
    with worker(folder) as (process, server):
        server.close()
        assert ended(process) == (0, b"")
    assert not is_held(folder / "writer.lock")


def test_it_leaves_it_to_its_server_when_to_stop(folder: Path) -> None:
    with worker(folder) as (process, server):
        assert told(server) == Ready()
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        server.sendall(frame(Open()))
        assert isinstance(told(server), Opened)
        server.close()
        assert ended(process) == (0, b"")


def test_that_meets_a_defect_it_goes_at_once_rather_than_let_anybody_wait(folder: Path) -> None:
    with worker(folder, "-c", DEFECT) as (process, server):
        assert told(server) == Ready()
        server.sendall(frame(Open()))
        assert isinstance(told(server), Opened)
        server.sendall(frame([Signing(1, 1, "note")]))
        code, said = ended(process)
        assert code == 1
        assert b"gives up" in said
        assert b"ZeroDivisionError" in said
