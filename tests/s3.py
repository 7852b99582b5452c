"""A real S3 server, SeaweedFS, in a folder of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

import obstore
from obstore.store import S3Store

PROGRAM: Final = Path(sys.executable).with_name("weed")
PATIENCE: Final = 120.0
"""Seconds until a start fails: far more than it takes."""

KEY, SECRET = "testkey", "testsecret"
_MAY: Final = ["Admin", "Read", "List", "Tagging", "Write"]
_IDENTITY: Final = {
    "name": "t",
    "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
    "actions": _MAY,
}
_ANONYMOUS: Final = {"name": "anonymous", "actions": _MAY}


@dataclass(frozen=True)
class S3:
    """A running server with one bucket, `backups`."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that clients of S3 read."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def serving_s3(folder: Path, *, is_open: bool = False) -> Iterator[S3]:
    """Start a server, and kill it after the block. `is_open`: it takes unsigned requests, too."""
    (folder / "files").mkdir(parents=True)
    config = folder / "s3.json"
    config.write_text(
        json.dumps({"identities": [_IDENTITY, *([_ANONYMOUS] if is_open else [])]}), "utf-8"
    )
    master, volume, filer, port = _free_ports(4)
    command = [
        *(str(PROGRAM), "-logtostderr=true", "server", f"-dir={folder / 'files'}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}"),
        *(f"-volume.port={volume}", "-filer", f"-filer.port={filer}", "-s3", f"-s3.port={port}"),
        *(
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={config}",
            "-master.telemetry=false",
        ),
        *("-master.volumeSizeLimitMB=64", "-volume.max=50", "-volume.preStopSeconds=1"),
    ]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        stack.callback(process.wait, PATIENCE)
        stack.callback(process.send_signal, signal.SIGKILL)  # a graceful stop takes 16 s
        _wait_for(f"http://127.0.0.1:{port}/status")
        store = S3Store(
            "backups",
            endpoint=f"http://127.0.0.1:{port}",
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )
        obstore.put(store, "made", b"")  # makes the bucket
        yield S3(f"http://127.0.0.1:{port}")


def _free_ports(count: int) -> list[int]:
    """Return free ports of which the port 10,000 above, for gRPC, is free, too."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as other, suppress(OSError, OverflowError):
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            other.bind(("127.0.0.1", port + 10_000))
            found.append(port)
    return found


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(URLError, ConnectionError), urlopen(url):
            return
        assert time.monotonic() < deadline, f"no answer from {url}"
        os.sched_yield()
