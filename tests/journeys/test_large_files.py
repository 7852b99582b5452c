"""Upload and download of 2 GiB in constant memory."""

import hashlib
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import orjson
import pytest

from tests.journeys.client import (
    BOUNDARY,
    FORM,
    FORM_END,
    Client,
    form_head,
    raw_connection,
)
from tests.journeys.server import Server

MIB = 1 << 20
NDJSON = "application/x-ndjson"
SIZE = 2048 * MIB
MOST_MEMORY = 200 * 1000 * 1000

_PATTERN = bytes(range(256)) * (MIB // 256)


def blocks() -> Iterator[bytes]:
    """Yield 2 GiB in different blocks of 1 MiB."""
    for number in range(SIZE // MIB):
        yield number.to_bytes(8, "big") + _PATTERN[8:]


@cache
def digest() -> str:
    hashed = hashlib.sha256()
    for block in blocks():
        hashed.update(block)
    return f"sha256:{hashed.hexdigest()}"


def downloaded(client: Client, path: str) -> str:
    """Download a path in constant memory, and return the digest of its content."""
    client.connection.request("GET", path)
    answer = client.connection.getresponse()
    hashed, buffer = hashlib.sha256(), memoryview(bytearray(MIB))
    while length := answer.readinto(buffer):
        hashed.update(buffer[:length])
    return f"sha256:{hashed.hexdigest()}"


@pytest.mark.slow
def test_a_raw_body_of_2_gib_is_stored_and_read_in_constant_memory(
    server: Server, client: Client
) -> None:
    headers = {"Content-Length": str(SIZE), "Content-Type": "video/mp4"}
    reply = client.call("POST", "/api/assets?name=film.mp4", blocks(), headers)

    assert reply.status == 201, reply.body
    assert (reply.json["size"], reply.json["digest"]) == (SIZE, digest())
    content = reply.json["get_url"]
    with raw_connection(server.port) as slow:  # requests the content and reads nothing
        slow.sendall(f"GET {content} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert downloaded(client, content) == digest()
    end = client.get(content, Range="bytes=-1000")
    assert (end.status, end.body) == (206, _PATTERN[-1000:])
    middle = client.get(content, Range=f"bytes={SIZE - MIB}-{SIZE - MIB + 15}")
    assert middle.body == (SIZE // MIB - 1).to_bytes(8, "big") + _PATTERN[8:16]
    assert server.peak_memory() < MOST_MEMORY


@pytest.mark.slow
def test_a_form_of_2_gib_is_stored_in_constant_memory(
    server: Server, client: Client, data_dir: Path
) -> None:
    def body() -> Iterator[bytes]:
        yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="json"\r\n\r\n'.encode()
        yield b'{"name": "film.mp4", "job_id": "j"}\r\n' + form_head("film.mp4")
        yield from blocks()
        yield b"\r\n" + FORM_END

    reply = client.call("POST", "/api/assets/", body(), FORM)  # in chunks, without a Content-Length

    assert reply.status == 201, reply.body
    assert (reply.json["size"], reply.json["digest"]) == (SIZE, digest())
    assert server.peak_memory() < MOST_MEMORY
    (stored,) = (path for path in (data_dir / "content" / "objects").rglob("*") if path.is_file())
    assert stored.stat().st_size == SIZE


@pytest.mark.slow
def test_a_list_as_ndjson_is_read_a_page_at_a_time_as_its_client_takes_it(
    server: Server, client: Client
) -> None:
    """A page has 1 MiB. An asset that is deleted while the first one waits is not in the last."""
    lines = [large_line(number) for number in range(1, 501)]
    for first in range(0, len(lines), 250):
        body = b"".join(lines[first : first + 250])
        reply = client.call("POST", "/api/import", body, {"Content-Type": NDJSON})
        assert {each["outcome"] for each in reply.json["outcomes"]} == {"recorded"}

    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.connect(("127.0.0.1", server.port))
        head = f"GET /api/assets HTTP/1.1\r\nHost: localhost\r\nAccept: {NDJSON}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        client.delete(f"/api/assets/{500:032x}")
        answer = connection.makefile("rb")
        ids = [f'{{"id":"{n:032x}"'.encode() for n in (499, 500)]
        received = bytearray()
        while not received.endswith(b"\r\n0\r\n\r\n"):
            received += answer.read1()

    assert [received.count(each) for each in ids] == [1, 0]
    assert len(received) > 14_000_000


def large_line(number: int) -> bytes:
    metadata = {"x": [1_234_567] * 3_800}  # numbers are cheap to index
    asset = {"id": f"{number:032x}", "user_id": "1", "name": "a", "metadata": metadata}
    return orjson.dumps(asset) + b"\n"
