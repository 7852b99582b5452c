"""Clients that disconnect or stall: half an upload makes no asset and delays no other client."""

import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys.audit import audit, events_in, objects
from tests.journeys.client import (
    FORM,
    FORM_END,
    Client,
    form,
    form_head,
    raw_connection,
    read_reply,
    request_head,
    talking,
)
from tests.journeys.server import Server, serving, until
from tests.journeys.write_lock import write_locked

KIB = 1024
SMALL = b"half of a small file"
LARGE = bytes(300 * KIB)


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def half_a_form(content: bytes, announced: Mapping[str, str]) -> bytes:
    return request_head({**FORM, **announced}) + form_head("a.bin") + content


CHUNKED = {"Transfer-Encoding": "chunked"}
LONG = {"Content-Length": "900000"}
HALVES = {
    "a small form": half_a_form(SMALL, {"Content-Length": "1000"}),
    "a large form": half_a_form(LARGE, LONG),
    "a form up to its last delimiter": half_a_form(LARGE + b"\r\n--", LONG),
    "a small body": request_head({"Content-Length": "1000"}) + SMALL,
    "a large body": request_head(LONG) + LARGE,
    "a small body in chunks": request_head(CHUNKED) + chunk(SMALL),
    "a large body in chunks": request_head(CHUNKED) + chunk(LARGE),
    "a chunk that ends too early": request_head(CHUNKED) + chunk(LARGE)[: 200 * KIB],
    "a form in chunks": request_head(FORM | CHUNKED) + chunk(form_head("a.bin") + LARGE),
}


Disconnect = Callable[[socket.socket], None]


def close_connection(connection: socket.socket) -> None:
    """Close the connection with FIN."""
    connection.close()


def reset_connection(connection: socket.socket) -> None:
    """Close the connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("disconnect", [close_connection, reset_connection])
def test_uploads_without_their_end_leave_no_event_and_no_file(
    server: Server, data_dir: Path, disconnect: Disconnect
) -> None:
    arriving = data_dir / "content" / "tmp"
    with ExitStack() as connections:
        for half in HALVES.values():
            connection = connections.enter_context(raw_connection(server.port))
            connection.sendall(half)
            disconnect(connection)
    until(lambda: not any(arriving.iterdir()), "the temporary files are removed")

    with talking(server.port) as client:
        client.created()
        assert len(client.assets()) == 1
    assert server.stop() == 0
    assert "Traceback" not in server.errors
    server.start()
    assert len(audit(data_dir)) == 2
    assert not list(objects(data_dir / "content"))


@pytest.mark.slow
def test_the_temporary_file_of_an_upload_is_removed_when_its_client_disconnects(
    server: Server, data_dir: Path
) -> None:
    arriving = data_dir / "content" / "tmp"
    with raw_connection(server.port) as connection:
        connection.sendall(HALVES["a large body"] + LARGE)
        until(lambda: any(arriving.iterdir()), "the upload is in a temporary file")

    until(lambda: not any(arriving.iterdir()), "the file is removed")

    assert len(events_in(data_dir)) == 1


@pytest.mark.slow
def test_an_upload_is_recorded_when_its_client_disconnects_during_the_commit(
    server: Server, client: Client, data_dir: Path
) -> None:
    body = form(LARGE, {"name": "a.bin", "job_id": "j"})
    head = request_head(FORM | {"Content-Length": str(len(body)), "Idempotency-Key": "k"})
    with write_locked(data_dir / "projections.g1.db"), raw_connection(server.port) as connection:
        connection.sendall(head + body)
        until(lambda: len(events_in(data_dir)) == 2, "the event is recorded")
        reset_connection(connection)

    client.created(name="b.bin")

    assert [asset["name"] for asset in client.assets()] == ["a.bin", "b.bin"]
    assert client.upload(LARGE, "k", name="a.bin", job_id="j").replayed
    audit(data_dir)


@pytest.mark.slow
def test_an_upload_is_recorded_when_its_client_disconnects_before_the_commit(
    server: Server, client: Client, data_dir: Path
) -> None:
    """The locked tables delay the committer at the upload before it, for half a second at most."""
    body = form(LARGE, {"name": "a.bin"})
    with ThreadPoolExecutor(1) as threads, write_locked(data_dir / "projections.g1.db"):
        before = threads.submit(send_and_wait, server.port, 0)
        until(lambda: len(events_in(data_dir)) == 2, "the event before it is recorded")
        with raw_connection(server.port) as connection:
            connection.sendall(request_head(FORM | {"Content-Length": str(len(body))}) + body)
            until(lambda: any(objects(data_dir / "content")), "the content is published")
            reset_connection(connection)

    assert before.result() in (201, 202)
    until(lambda: len(events_in(data_dir)) == 3, "the event is recorded")

    assert client.created(name="b.bin")["position"] == 4
    assert [asset["name"] for asset in client.assets()] == ["0.bin", "a.bin", "b.bin"]
    audit(data_dir)


@pytest.mark.slow
def test_retries_of_clients_that_disconnected_are_recorded_once(
    server: Server, data_dir: Path
) -> None:
    """Any number of the first uploads was recorded; after the retries, each one once."""
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda n: send_and_disconnect(server.port, n), range(100)))
        replies = list(threads.map(lambda n: send_and_wait(server.port, n), range(100)))

    assert replies == [201] * 100
    events = audit(data_dir)
    names = sorted(event.fields["private"]["name"] for event in events[1:])
    assert names == sorted(f"{number}.bin" for number in range(100))


def fields(number: int) -> dict[str, str]:
    return {"name": f"{number}.bin", "job_id": "j"}


def content(number: int) -> bytes:
    return bytes(number % 2 * 70 * KIB) + str(number).encode()


def send_and_disconnect(port: int, number: int) -> None:
    body = form(content(number), fields(number))
    key = {"Idempotency-Key": f"key {number}"}
    head = request_head(FORM | key | {"Content-Length": str(len(body))})
    with raw_connection(port) as connection:
        connection.sendall(head + body)
        reset_connection(connection)


def send_and_wait(port: int, number: int) -> int:
    with talking(port) as client:
        return client.upload(content(number), f"key {number}", **fields(number)).status


@pytest.mark.slow
def test_a_full_queue_refuses_an_upload_before_its_body_is_sent(data_dir: Path) -> None:
    with serving(data_dir, "--queue-size", "1") as server, talking(server.port) as client:
        with raw_connection(server.port) as slow, raw_connection(server.port) as next_one:
            half = HALVES["a large body"]
            slow.sendall(half + LARGE)
            until(lambda: any((data_dir / "content" / "tmp").iterdir()), "the slot is taken")
            next_one.sendall(request_head({"Content-Length": "1000", "Expect": "100-continue"}))
            refused = read_reply(next_one)
            assert (refused.status, refused.slug) == (503, "busy")
            assert int(refused.headers["Retry-After"]) >= 1
            assert client.delete(f"/api/assets/{'0' * 32}").slug == "busy"
            assert client.get("/api/assets").status == 200  # a read needs no slot
            slow.sendall(bytes(900_000 - 2 * len(LARGE)))
            assert read_reply(slow).slug == "bad-field"  # it has no name; its slot is free again

        client.created()
        audit(data_dir)


@pytest.mark.slow
def test_a_slow_upload_delays_no_other_upload(server: Server, client: Client) -> None:
    def body() -> Iterator[bytes]:
        yield form_head("slow.bin")
        for number in range(20):
            with talking(server.port) as other:
                other.created(name=f"quick {number}")
            yield LARGE
        yield b"\r\n" + FORM_END

    reply = client.call("POST", "/api/assets", body(), FORM)

    assert reply.status == 201
    names = [asset["name"] for asset in client.assets()]
    assert names == [*(f"quick {number}" for number in range(20)), "slow.bin"]


def test_a_client_that_closes_its_half_is_answered(server: Server, data_dir: Path) -> None:
    for number in range(20):
        with raw_connection(server.port) as connection:
            connection.sendall(
                request_head({"Content-Length": "2"}, f"/api/assets?name={number}") + b"hi"
            )
            connection.shutdown(socket.SHUT_WR)
            assert read_reply(connection).status == 201

    assert len(events_in(data_dir)) == 21  # with the one that opened the log


def test_a_client_that_connects_and_leaves_is_no_error(server: Server, client: Client) -> None:
    for _ in range(20):
        with raw_connection(server.port):
            pass
    client.created()

    assert server.errors == ""
