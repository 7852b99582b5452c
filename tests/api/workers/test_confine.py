"""A confined process: what code that ran in a decoder could not do."""

import subprocess
import sys
from pathlib import Path

import pytest

from asset_ledger.api.thumbnails.worker import MOST_MEMORY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the filters are Linux's")

CONFINED = f"""
import os, signal, socket, sys
from pathlib import Path
from asset_ledger.api.workers.confine import allow_processor_time, confine
confine(max_memory={MOST_MEMORY}, readable=[Path(sys.argv[1])])
"""


def confined(code: str, readable: Path) -> "subprocess.CompletedProcess[str]":
    """Run code in a new process that is confined as a drawing process is."""
    return subprocess.run(
        [sys.executable, "-c", CONFINED + code, readable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


DENIED = {
    "a socket": "socket.socket()",
    "a Unix socket": "socket.socket(socket.AF_UNIX)",
    "a UDP socket": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "a pair of sockets": "socket.socketpair()",
    "a program": "os.execv('/bin/true', ['true'])",
    "a signal": "os.kill(os.getppid(), 0)",
}


@pytest.mark.parametrize("what", DENIED)
def test_a_confined_process_is_denied(tmp_path: Path, what: str) -> None:
    done = confined(DENIED[what], tmp_path)

    assert done.returncode == 1
    assert "PermissionError: [Errno 1]" in done.stderr


def test_a_confined_process_writes_no_file(tmp_path: Path) -> None:
    done = confined(f"os.write(os.open('{tmp_path}/new', os.O_CREAT | os.O_RDWR), b'x')", tmp_path)

    assert done.returncode != 0
    written = tmp_path / "new"
    assert not written.exists() or written.stat().st_size == 0


def test_a_confined_process_has_limited_memory(tmp_path: Path) -> None:
    done = confined(f"bytearray({MOST_MEMORY})", tmp_path)

    assert done.returncode == 1
    assert "MemoryError" in done.stderr


def test_a_confined_process_ends_after_its_processor_time(tmp_path: Path) -> None:
    done = confined("allow_processor_time(0)\nwhile True: pass", tmp_path)

    assert done.returncode < 0
