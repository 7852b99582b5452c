"""Run wrk with a Lua script against one server.

Promise: one error, time-out or answer of 4xx or 5xx makes the run raise BenchmarkError.
"""

import json
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import BenchmarkError

SCRIPTS = Path(__file__).parent
FAILURES = ("connect", "read", "write", "status", "timeout")


@dataclass(frozen=True, slots=True)
class Load:
    """One run of wrk. `sent` includes the requests that were unanswered at its end."""

    rate: float
    acknowledged: int
    sent: int
    p50_ms: float
    p99_ms: float


def uploads(url: str, *, connections: int, seconds: int, keys: bool = False) -> Load:
    """Upload distinct 4 KiB assets for some seconds."""
    arguments = [secrets.token_hex(4), "keys" if keys else ""]
    return wrk(url, "upload.lua", arguments, connections, seconds)


def pages(url: str, paths: Path, *, connections: int, seconds: int) -> Load:
    """GET the paths of a file, one a line, again and again for some seconds."""
    return wrk(url, "pages.lua", [str(paths)], connections, seconds)


def mixed(url: str, paths: Path, *, connections: int, seconds: int) -> Load:
    """GET the paths of a file seven times for three uploads. `sent` counts the uploads alone."""
    return wrk(url, "mixed.lua", [secrets.token_hex(4), str(paths)], connections, seconds)


def wrk(url: str, script: str, arguments: list[str], connections: int, seconds: int) -> Load:
    # One thread can send 60,000 uploads a second; a second one would take a core from the server.
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", str(SCRIPTS / script), url, "--", *arguments]
    try:
        finished = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds + 60
        )
    except FileNotFoundError:
        raise BenchmarkError(
            "wrk is not installed: apt-get install wrk (or github.com/wg/wrk)"
        ) from None
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(f"wrk failed: {error.stdout}{error.stderr}".strip()) from None
    return report(finished.stdout.splitlines()[-1])


def report(line: str) -> Load:
    """Parse what the script's `done` printed. Raises BenchmarkError for any failure."""
    counts: dict[str, int] = json.loads(line)
    failures = {name: counts[name] for name in FAILURES if counts[name]}
    if failures or not counts["requests"]:
        raise BenchmarkError(
            f"the server failed under load: {counts['requests']} answers, failures {failures}"
        )
    return Load(
        rate=counts["requests"] / (counts["microseconds"] / 1e6),
        acknowledged=counts["requests"],
        sent=counts["sent"],
        p50_ms=counts["p50"] / 1e3,
        p99_ms=counts["p99"] / 1e3,
    )
