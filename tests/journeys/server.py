"""A real server process on a real data folder: start, stop and kill it.

No fixed pauses: a server is ready when it prints its address, and gone when its process has exited.
"""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Final

PROGRAM: Final = Path(sys.executable).with_name("asset-ledger")
PATIENCE: Final = 60.0
"""Seconds until a wait fails: far more than any step takes."""
BACK: Final = 30.0
"""Seconds after the end of a failure within which a server works again by itself."""

LESS: Final = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if which("setpriv") else ()
"""The prefix that makes a command of root respect the modes of files."""

_READY: Final = re.compile(rb"asset-ledger serves http://127\.0\.0\.1:(\d+)\n")


def program(*arguments: str | Path) -> "subprocess.Popen[str]":
    """Start `asset-ledger` with these arguments."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [PROGRAM, *arguments], env=_environment(), stdout=pipe, stderr=pipe, text=True
    )


def run(*arguments: str | Path, before: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    """Run `asset-ledger` with these arguments to its end. `before` is a command that runs it."""
    return subprocess.run(
        [*before, PROGRAM, *arguments],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _environment() -> dict[str, str]:
    """Return our environment without the settings of a developer's server."""
    return {k: v for k, v in os.environ.items() if not k.startswith("ASSET_LEDGER_")}


def until(condition: Callable[[], bool], description: str, within: float = PATIENCE) -> None:
    """Poll until a condition outside of this process is true, at most so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"timed out: {description}"
        os.sched_yield()


class Server:
    """`asset-ledger serve` on a folder, as a process that can be started many times.

    The standard error of all starts is collected in a file beside the folder.
    """

    def __init__(self, data_dir: Path, *flags: str, before: Sequence[str] = ()) -> None:
        """`before` is a command that runs the server."""
        self.data_dir = data_dir
        self.port = 0
        self._flags, self._before = flags, before
        self._errors = data_dir.with_name(f"{data_dir.name}.stderr")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def errors(self) -> str:
        """The standard error of every start so far."""
        return self._errors.read_text("utf-8")

    def start(self) -> None:
        """Start the server, and return when it answers requests."""
        self.launch()
        self.await_start()

    def await_start(self) -> None:
        """Wait until a server that was launched answers requests."""
        ready = _READY.fullmatch(self._first_line())
        assert ready, f"the server did not start: {self.errors}"
        self.port = int(ready[1])

    def launch(self, port: int = 0) -> None:
        """Start the server, and return at once."""
        serve: list[str | Path] = [PROGRAM, "serve", "--port", str(port), *self._flags]
        command: list[str | Path] = [*self._before, *serve]
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*command, "--data-dir", self.data_dir],
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(),
                start_new_session=True,  # Ctrl-C must stop the tests, not the server
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.send_signal(number)
        return self.wait()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, and return at once."""
        self._running().send_signal(number)

    def wait(self) -> int:
        """Wait for the exit of the server, and return its exit code."""
        process, self._process = self._running(), None
        with process:
            return process.wait(PATIENCE)

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        assert self.stop(signal.SIGKILL) == -signal.SIGKILL

    def kill_with_committer(self) -> None:
        """Kill all processes of the server at once, as a machine that loses power ends them.

        After `kill`, a committer that waits for a lock may still record what it was given.
        """
        os.killpg(self.pid, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def peak_memory(self) -> int:
        """Return the peak resident memory in bytes (proc(5), VmHWM)."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        assert found, status
        return int(found[1]) * 1024

    def close(self) -> None:
        """Kill the server if it runs."""
        if self._process is not None:
            self.stop(signal.SIGKILL)

    def _first_line(self) -> bytes:
        stdout = self._running().stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], PATIENCE)
        return stdout.readline() if readable else b""

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the server is not running"
        return self._process


@contextmanager
def serving(data_dir: Path, *flags: str, before: Sequence[str] = ()) -> Iterator[Server]:
    """Start a server, and kill it after the block. `before` is a command that runs it."""
    server = Server(data_dir, *flags, before=before)
    try:
        server.start()
        yield server
    finally:
        server.close()
