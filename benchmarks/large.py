"""Upload and download of one large file, against a minimal asyncio server.

Promise: the same client sends and receives with both, and every byte is counted.
"""

import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import orjson

from benchmarks.bench import Bench
from benchmarks.machine import BenchmarkError
from benchmarks.pages import read
from benchmarks.rows import Row
from benchmarks.servers import Server, floor_command, product_command, serving
from benchmarks.turns import alternating, divided

MIB: Final = 1 << 20
ROUNDS: Final = 3
FLOOR, PRODUCT, HASHED = "floor", "product", "hashing floor"
OF: Final = {
    ("upload", FLOOR): "",
    ("download", HASHED): ", which hashes what it sends",
    ("download", FLOOR): "'s sendfile, which hashes nothing",
}

Speeds = dict[str, list[float]]


def rows(bench: Bench) -> list[Row]:
    """Measure both directions with both servers."""
    folder = bench.folder / "large"
    folder.mkdir()
    file, size = made(folder / "sent", bench.sizes.large), bench.sizes.large * MIB
    up: Speeds = {FLOOR: [], PRODUCT: []}
    down: Speeds = {FLOOR: [], PRODUCT: [], HASHED: []}
    with (
        serving(FLOOR, floor_command("large", str(folder))) as floor,
        serving(PRODUCT, product_command(folder / "data")) as product,
    ):
        for number, server in enumerate(alternating(ROUNDS, (floor, product))):
            change(file, number)
            os.sync()
            up[server.name].append(size / MIB / timed(partial(upload, server, file)))
            reads = {server.name: newest(server)} | ({HASHED: "/hashed"} if server is floor else {})
            for name, path in reads.items():
                down[name].append(size / MIB / timed(partial(download, server, path, size)))
    return [
        row(bench, "upload", up, FLOOR, 0.8),
        row(bench, "download", down, HASHED, 0.9),
        row(bench, "download", down, FLOOR, None),
    ]


def row(bench: Bench, verb: str, speeds: Speeds, floor: str, bar: float | None) -> Row:
    what = f"{verb} of {bench.sizes.large:,} MiB over the minimal server{OF[verb, floor]}"
    beside = {f"{name} MiB/s": speeds[name] for name in (floor, PRODUCT)}
    return Row(what, divided(speeds[PRODUCT], speeds[floor]), bar, bar and 1, beside=beside)


def made(path: Path, mib: int) -> Path:
    """Write a file of random bytes."""
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))
    return path


def change(file: Path, number: int) -> None:
    """Change the first bytes, so that no upload has bytes that are known."""
    with file.open("r+b") as stream:
        stream.write(number.to_bytes(8, "big"))


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def upload(server: Server, file: Path) -> None:
    """POST a file on a new connection. Raises BenchmarkError unless it is answered 201."""
    with connected(server) as connection, file.open("rb") as stream:
        head = request("POST", server, "/api/assets/content?name=large")
        size = f"Content-Type: video/mp4\r\nContent-Length: {file.stat().st_size}\r\n\r\n"
        connection.sendall(f"{head}{size}".encode())
        connection.sendfile(stream)
        answer = connection.recv(MIB)
    if not answer.startswith(b"HTTP/1.1 201"):
        raise BenchmarkError(f"{server.name} answered an upload {answer[:200]!r}")


def download(server: Server, path: str, size: int) -> None:
    """GET a file. Raises BenchmarkError unless all of it arrives."""
    buffer = bytearray(MIB)
    with connected(server) as connection:
        connection.sendall(f"{request('GET', server, path)}\r\n".encode())
        received = head = connection.recv_into(buffer)
        head = buffer.find(b"\r\n\r\n") + 4
        while received < head + size:
            count = connection.recv_into(buffer)
            if not count:
                raise BenchmarkError(f"{server.name} sent {received - head} bytes of {size}")
            received += count


def newest(server: Server) -> str:
    """Return the path of the file that was uploaded last."""
    if server.name == FLOOR:
        return "/large"
    page, _ = read(server, "/api/assets?sort=-created_at&page_size=1")
    return f"/api/assets/{orjson.loads(page)['assets'][0]['id']}/content"


def connected(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    assert address.hostname is not None
    assert address.port is not None
    return socket.create_connection((address.hostname, address.port))


def request(method: str, server: Server, path: str) -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: {urlsplit(server.url).netloc}\r\n"
