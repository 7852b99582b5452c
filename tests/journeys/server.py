"""A real server process on a real folder: started, stopped and killed from outside.

Nothing waits by the clock: a server is ready when it says so, and gone when its process is.
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
from typing import Final

PROGRAM: Final = Path(sys.executable).with_name("asset-ledger")
PATIENCE: Final = 60.0
"""Seconds after which something hangs. Nothing here is a matter of speed."""

_READY: Final = re.compile(rb"asset-ledger serves http://127\.0\.0\.1:(\d+)\n")


def program(*arguments: str | Path) -> "subprocess.Popen[str]":
    """`asset-ledger` with these arguments, just begun."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [PROGRAM, *arguments], env=_environment(), stdout=pipe, stderr=pipe, text=True
    )


def run(*arguments: str | Path, before: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    """`asset-ledger` with these arguments, to its end; `before` is what runs it."""
    return subprocess.run(
        [*before, PROGRAM, *arguments],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _environment() -> dict[str, str]:
    """Ours, without what a developer set for his own server."""
    return {k: v for k, v in os.environ.items() if not k.startswith("ASSET_LEDGER_")}


def until(happened: Callable[[], bool], what: str) -> None:
    """Look again and again until it happened outside of this process, where nobody would call."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        os.sched_yield()


class Server:
    """`asset-ledger serve` on a folder, as a process of its own; started again as often as asked.

    What it says on standard error gathers in a file beside the folder.
    """

    def __init__(self, data_dir: Path, *flags: str) -> None:
        self.data_dir = data_dir
        self.port = 0
        self._flags = flags
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
        """What every start so far said on standard error."""
        return self._errors.read_text("utf-8")

    def start(self) -> None:
        """Start it, and return when it answers requests."""
        self.launch()
        ready = _READY.fullmatch(self._first_line())
        assert ready, f"the server did not start: {self.errors}"
        self.port = int(ready[1])

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        command: list[str | Path] = [PROGRAM, "serve", "--port", "0", *self._flags]
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*command, "--data-dir", self.data_dir],
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(),
                start_new_session=True,  # a Ctrl-C for the tests is not one for the server
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code once it has."""
        self.ask_to_stop(number)
        return self.wait()

    def ask_to_stop(self, number: signal.Signals) -> None:
        """Send the signal and wait for nothing."""
        self._running().send_signal(number)

    def wait(self) -> int:
        """The exit code of a server that was asked to stop."""
        process, self._process = self._running(), None
        with process:
            return process.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL: not one more instruction."""
        assert self.stop(signal.SIGKILL) == -signal.SIGKILL

    def peak_memory(self) -> int:
        """The most bytes that it ever had in memory (VmHWM)."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        assert found, status
        return int(found[1]) * 1024

    def close(self) -> None:
        """Leave no process behind, whatever the test came to."""
        if self._process is not None:
            self.stop(signal.SIGKILL)

    def _first_line(self) -> bytes:
        stdout = self._running().stdout
        assert stdout is not None
        said, _, _ = select.select([stdout], [], [], PATIENCE)
        return stdout.readline() if said else b""

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the server is not running"
        return self._process


@contextmanager
def serving(data_dir: Path, *flags: str) -> Iterator[Server]:
    """A server that runs, until the block ends."""
    server = Server(data_dir, *flags)
    try:
        server.start()
        yield server
    finally:
        server.close()
