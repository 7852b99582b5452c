"""A data folder that is copied while its server writes: the copy serves no wrong byte, and both a
reader and `verify` learn what it lacks. A backup lacks nothing."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event

import pytest

from tests.journeys.client import talking
from tests.journeys.server import run, serving

pytestmark = pytest.mark.slow

CP = shutil.which("cp")
SIZES = (300, 100_000)


def test_a_copy_of_a_running_server_serves_no_wrong_byte(data_dir: Path, tmp_path: Path) -> None:
    assert CP is not None
    copies = [tmp_path / f"copy {number}" for number in range(2)]
    with serving(data_dir) as server, uploading(server.port):
        for copy in copies:
            subprocess.run([CP, "-r", data_dir, copy], check=False)  # temporary files may vanish
    for copy in copies:
        with serving(copy) as server, talking(server.port) as client:
            replies = {a["digest"]: client.get(a["get_url"]) for a in client.assets()}
        lost = {digest for digest, reply in replies.items() if reply.status != 200}
        assert {replies[digest].slug for digest in lost} <= {"content-damaged"}
        for digest in replies.keys() - lost:
            body = replies[digest].body
            assert f"sha256:{hashlib.sha256(body).hexdigest()}" == digest
        done = run("verify", "--data-dir", copy)  # the start made tables that were ahead again
        assert done.returncode == (1 if lost else 0), done.stdout


@contextmanager
def uploading(port: int) -> Iterator[None]:
    """Upload with four clients during the block."""
    ended = Event()

    def upload(client: int) -> None:
        with talking(port) as connection:
            for number in count():
                name = f"{client} {number}"
                content = name.encode() + bytes(SIZES[number % 2])
                assert connection.upload(content, name, name=name).status == 201
                if ended.is_set():
                    return

    with ThreadPoolExecutor(4) as threads:
        ends = [threads.submit(upload, client) for client in range(4)]
        try:
            yield
        finally:
            ended.set()
        for end in ends:
            end.result()
