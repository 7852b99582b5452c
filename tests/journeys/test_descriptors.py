"""Connections leave enough file descriptors for files."""

import select
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from asset_ledger.ledger.storage.descriptors import RESERVED
from tests.journeys.client import raw_connection, read_reply, request_head, talking
from tests.journeys.server import serving, until

pytestmark = pytest.mark.slow

SIZE = 300_000
LONG = {"Content-Length": str(SIZE), "Content-Type": "text/plain"}
HALF_A_HEAD = b"GET /api/assets HTTP/1.1\r\nHost: localhost\r\n"
STREAM = b"GET /api/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF_A_BODY = request_head(LONG, "/api/assets?name=a") + bytes(SIZE // 2)


@pytest.mark.parametrize(("limit", "sent"), [(320, HALF_A_HEAD), (352, STREAM), (384, HALF_A_BODY)])
def test_uploads_are_stored_and_read_while_clients_hold_every_other_connection(
    tmp_path: Path, limit: int, sent: bytes
) -> None:
    limited = ("bash", "-c", f'ulimit -n {limit}; exec "$@"', "serve")
    with serving(tmp_path / "data", before=limited) as server, ExitStack() as held:
        uploads = [begun(held, server.port, HALF_A_BODY) for _ in range(4)]
        others = [begun(held, server.port, sent) for _ in range(limit)]
        refused = len(uploads) + len(others) - (limit - RESERVED) // 2
        # a later connection would take the place of an upload between its answer and its GET
        until(lambda: closed(others) >= refused, "the end of the connections without a place")

        for upload in uploads:
            upload.sendall(bytes(SIZE - SIZE // 2))
            reply = read_reply(upload)
            assert reply.status == 201, reply.body
            upload.sendall(
                f"GET {reply.json['get_url']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
            assert read_reply(upload).body == bytes(SIZE)

        for other in others:
            other.close()
        with talking(server.port) as client:
            assert client.get("/readyz").status == 200


def begun(held: ExitStack, port: int, sent: bytes) -> socket.socket:
    """Open a connection, and send the begin of a request; the server may refuse it."""
    connection = held.enter_context(raw_connection(port))
    with suppress(ConnectionError):
        connection.sendall(sent)
    return connection


def closed(connections: Sequence[socket.socket]) -> int:
    """Return how many of these connections the server has closed."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLRDHUP)
    return len(poll.poll(0))
