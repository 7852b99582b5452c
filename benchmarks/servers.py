"""The servers of a benchmark, each in its own process.

Promise: the process has ended after the `with` block.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO

from benchmarks.machine import BenchmarkError

ADDRESS = re.compile(r"http://[\w.]+:\d+")
PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
SECONDS_TO_STOP = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready."""

    name: str
    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Return the user and system time so far of the process and its children, in s."""
        known = [stat_of(path) for path in Path("/proc").glob("[0-9]*/stat")]
        own = [stat for stat in known if str(self.pid) in (stat["pid"], stat["ppid"])]
        ticks = sum(int(stat["utime"]) + int(stat["stime"]) for stat in own)
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Return the memory of the process and its children in MB, shared pages divided (Pss)."""
        known = [(path.parent, stat_of(path)) for path in Path("/proc").glob("[0-9]*/stat")]
        own = [each for each, stat in known if str(self.pid) in (stat["pid"], stat["ppid"])]
        found = [PSS.search((each / "smaps_rollup").read_text()) for each in own]
        return sum(int(each[1]) for each in found if each) * 1024 / 1e6


def stat_of(path: Path) -> dict[str, str]:
    """Return some fields of a process (proc(5)), zeros if it has ended."""
    try:
        pid, _, rest = path.read_text().partition(" ")
    except OSError:
        return dict.fromkeys(("pid", "ppid", "utime", "stime"), "0")
    after_name = rest.rpartition(")")[2].split()
    return {"pid": pid, "ppid": after_name[1], "utime": after_name[11], "stime": after_name[12]}


def floor_command(kind: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.floor", kind, *arguments]


def product_command(data_dir: Path, *flags: str) -> list[str]:
    """Return the command that serves a folder on a free port."""
    program = Path(sys.executable).with_name("asset-ledger")
    return [str(program), "serve", "--port", "0", "--data-dir", str(data_dir), *flags]


def stop_servers_on_sigterm() -> None:
    """Leave all blocks at SIGTERM, which ends their servers, too."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def serving(
    name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server, wait for the line with its address, and stop it after the block."""
    process = start(command, environment)
    try:
        assert process.stdout is not None
        url = ready_address(name, process.stdout)
        # A full pipe would block the server.
        Thread(target=drain, args=(process.stdout,), daemon=True).start()
        yield Server(name, url, process.pid)
    finally:
        stop(process)


def start(command: Sequence[str], environment: Mapping[str, str] | None) -> subprocess.Popen[str]:
    known = dict(os.environ if environment is None else environment)
    known.pop("PYTHONDONTWRITEBYTECODE", None)  # with it, each start compiles every module
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=known)
    except FileNotFoundError:
        raise BenchmarkError(f"{command[0]} is missing: `make serve` installs it") from None


def ready_address(name: str, output: IO[str]) -> str:
    for line in output:
        if found := ADDRESS.search(line):
            return found.group()
    raise BenchmarkError(f"{name} ended before it was ready")


def drain(output: IO[str]) -> None:
    for _ in output:
        pass


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
