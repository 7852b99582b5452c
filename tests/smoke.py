"""Use an installed Asset Ledger in a project with its own `api`, `ledger` and `projections`.

`tests.distribution` copies this program into such a project and runs it there, with the interpreter
of the environment under test. It needs nothing but that environment. Exit code 0: it works.
"""

import base64
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

import asset_ledger
from asset_ledger.sync import Asset, ProcessingContext, connect

PROGRAM: Final = Path(sys.executable).with_name("asset-ledger")
DATA: Final = Path("data")
UPLOADS: Final = 64
"""Uploads at the same time."""

PIXEL: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""


def check_modules() -> None:
    """Check that the project's modules keep their names, and that Asset Ledger is installed."""
    for name in ("api", "ledger", "projections"):
        assert import_module(name).OWNER == "project", name
    installed = Path(str(asset_ledger.__file__)).resolve().parent
    assert installed.is_relative_to(Path(sys.prefix).resolve()), installed
    assert (installed / "py.typed").exists()


def record_and_read(job: str) -> None:
    """Record one asset with the SDK, find it by its job, and read its bytes."""
    with ProcessingContext(workflow_id="smoke", job_id=job) as context:
        made = context.create_asset("a.txt", "text/plain", b"from a project")
    found = list(Asset.iterate(job_id=job))
    assert [each.id for each in found] == [made.id]
    assert found[0].content() == b"from a project"


@contextmanager
def serving() -> Iterator[str]:
    """Run `asset-ledger serve`, and yield its address. It must log no warning and stop cleanly."""
    errors = Path("stderr")
    with errors.open("wb") as stderr:
        command = [str(PROGRAM), "serve", "--port", "0", "--data-dir", str(DATA)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert server.stdout is not None
    with server, server.stdout:
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()
    assert (server.returncode, errors.read_text("utf-8")) == (0, "")


def upload(url: str, name: str, content: bytes, content_type: str) -> str:
    """Upload over plain HTTP, and return the address of the new asset."""
    headers = {"Content-Type": content_type}
    address = f"{url}/api/assets?name={name}&job_id=upload"
    with urlopen(Request(address, content, headers), timeout=60) as answer:
        assert answer.status == 201
        return url + str(answer.headers["Location"])


def read(url: str) -> tuple[str, bytes]:
    """Return the media type and the bytes of an answer."""
    with urlopen(url, timeout=60) as answer:
        return answer.headers.get_content_type(), answer.read()


def use_the_server(url: str) -> None:
    """Make the server use its worker processes and its data files.

    Committer, rebuild and thumbnails are worker processes; the pages are data files.
    """
    with ThreadPoolExecutor(UPLOADS) as pool:
        texts = [b"upload %d" % number for number in range(UPLOADS)]
        made = list(pool.map(lambda text: upload(url, "a.txt", text, "text/plain"), texts))
        contents = pool.map(lambda address: read(f"{address}/content")[1], made)
        assert list(contents) == texts
    pixel = upload(url, "pixel.png", PIXEL, "image/png")
    assert read(f"{pixel}/thumbnail")[0].startswith("image/")
    assert read(f"{url}/docs")[0] == "text/html"
    subprocess.run([PROGRAM, "rebuild", "--url", url], check=True)


def main() -> None:
    check_modules()
    with connect(data_dir=DATA):
        record_and_read("embedded")
    with serving() as url:
        with connect(url):
            record_and_read("over-http")
        use_the_server(url)
    subprocess.run([PROGRAM, "verify", "--data-dir", DATA], check=True)
    node = subprocess.check_output([PROGRAM, "watch", "comfyui", "--print-node"], text=True)
    assert "NODE_CLASS_MAPPINGS" in node, node


if __name__ == "__main__":
    main()
