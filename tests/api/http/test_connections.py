"""Limits of connections: slow, silent, too many, and those whose token was revoked."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from asset_ledger.api.http import connections
from asset_ledger.api.http.archive import EACH
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.storage import descriptors
from asset_ledger.ledger.storage.turns import MAX_WAITING
from tests.api.calling import ALL, Caller, caller, revoke, serving_with_tokens
from tests.api.http.test_health import numbers, ready
from tests.api.running import Answer, Api, serving

LONG = {"text": "x" * 32_000}
MANY = 200


@asynccontextmanager
async def sending(api: Api, sent: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """Send these bytes from a socket that buffers little, and read nothing yet."""
    parts = urlsplit(api.url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=4096)
    try:
        writer.write(sent)
        yield reader
    finally:
        writer.transport.abort()


def get(path: str, token: str | None = None, *headers: str) -> bytes:
    own = [f"Authorization: Bearer {token}"] if token else []
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *own, *headers]
    return "\r\n".join([*lines, "", ""]).encode()


async def to_the_end(reader: asyncio.StreamReader) -> bytes:
    """Return all bytes until the server closes the connection."""
    read = bytearray()
    try:
        async with asyncio.timeout(60):  # fails a test that hangs
            while piece := await reader.read(65_536):
                read += piece
    except ConnectionError:
        pass
    return bytes(read)


async def closed(api: Api, reason: str, times: int = 1) -> None:
    """Wait until the server has closed connections for a reason."""
    async with asyncio.timeout(60):  # fails a test that hangs
        while api.server.clients.closed[reason] < times:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def long_answers(api: Api) -> dict[str, bytes]:
    """Return requests by name, whose answers of three megabytes or more no socket takes whole."""
    for number in range(MANY):
        await api.call(
            "POST", "/api/assets", json={"name": str(number), "metadata": LONG, "job_id": "j"}
        )
    big = await api.created(b"x" * 30_000_000)
    return {
        "a list": get("/api/assets?page_size=100"),
        "a history": get("/api/jobs/j/history", None, "Accept: application/x-ndjson"),
        "a content": get(f"/api/assets/{big['id']}/content"),
    }


@pytest.mark.parametrize("name", ["a list", "a history", "a content"])
@pytest.mark.slow
async def test_a_client_that_does_not_read_is_closed(opened_data_dir: Path, name: str) -> None:
    async with serving(Settings(data_dir=opened_data_dir), patience=1) as api:
        request = (await long_answers(api))[name]
        async with sending(api, request):
            await closed(api, "slow")
        counted = await numbers(api)

    assert counted["connections_closed_total{reason=slow}"] == 1
    assert counted["unread_bytes"] == 0


@pytest.mark.parametrize("clients", [2, 3, 5])
@pytest.mark.slow
async def test_unread_answers_are_bounded_together(opened_data_dir: Path, clients: int) -> None:
    settings = Settings(data_dir=opened_data_dir, unread_memory=2**20)
    async with serving(settings) as api, AsyncExitStack() as stack:
        request = (await long_answers(api))["a list"]
        for _ in range(clients):
            await stack.enter_async_context(sending(api, request))
        await closed(api, "unread", clients - 1)
        counted = await numbers(api)

    assert counted["connections_closed_total{reason=unread}"] == clients - 1
    assert counted["unread_bytes"] < 5 * 2**20  # what the last one has not read


@pytest.mark.parametrize(
    "path",
    [
        "/api/assets?page_size=1000",
        "/api/assets/search?query=xxx&page_size=1000",
        "/api/events?limit=1000",
        "/api/jobs/j/history?limit=999",
    ],
)
@pytest.mark.slow
async def test_pages_end_after_a_mebibyte_and_continue(api: Api, path: str) -> None:
    await long_answers(api)
    await api.settled()
    seen, following = [], ""

    while True:
        answer = await api.get(path + following)
        assert len(answer.body) < 1.1 * 2**20
        found = answer.json.get("assets") or answer.json["events"]
        if not found:
            break
        seen += [each.get("id") or each["position"] for each in found]
        if not (after := answer.json.get("next") or answer.json.get("next_cursor")):
            break
        following = f"&after={after}" if path.startswith("/api/events") else f"&cursor={after}"

    assert len(seen) == len(set(seen)) >= MANY


@pytest.mark.parametrize("path", ["/api/events/stream", "/api/events/stream?job_id=j"])
async def test_a_read_ends_when_its_client_leaves(api: Api, path: str) -> None:
    async with sending(api, get(path)) as reader:
        assert b"200" in await reader.readline()
        assert handlers()

    async with asyncio.timeout(10):  # a heartbeat, which would find out, is sent after 15 s
        while handlers():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def handlers() -> int:
    """Return how many tasks handle requests, or wait for one that does."""
    return sum("_handle_request" in repr(task) for task in asyncio.all_tasks())


async def test_a_write_goes_on_when_its_client_leaves(api: Api) -> None:
    body = b'{"name":"left","content_type":"folder"}'
    head = b"POST /api/assets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    async with sending(api, head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)):
        async with asyncio.timeout(10):
            while not handlers():  # noqa: ASYNC110
                await asyncio.sleep(0)

    async with asyncio.timeout(10):
        while not (await api.get("/api/assets?name=left")).json["assets"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


UNFINISHED = {
    "JSON": (b"/api/jobs/j/start", b"application/json", b"{"),
    "raw": (b"/api/assets?name=a", b"application/octet-stream", b"half"),
    "a form": (b"/api/assets", b"multipart/form-data; boundary=b", b"--b\r\nContent-Disp"),
}


@pytest.mark.parametrize("kind", UNFINISHED)
async def test_a_body_that_stops_is_answered_and_closed(opened_data_dir: Path, kind: str) -> None:
    path, media_type, begun = UNFINISHED[kind]
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\n" % (path, media_type)

    async with serving(Settings(data_dir=opened_data_dir), patience=1) as api:
        async with sending(api, head + b"Content-Length: 100000\r\n\r\n" + begun) as reader:
            answer = await to_the_end(reader)
        counted = await numbers(api)

    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert counted["body_bytes"] == counted["writes_waiting"] == 0


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_stops_is_closed(
    api: Api, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 1)

    async with sending(api, begun) as reader:
        await to_the_end(reader)

    assert (await numbers(api))["connections_closed_total{reason=head}"] == 1


@pytest.mark.parametrize("path", ["/livez", "/api/assets", "/nowhere"])
@pytest.mark.slow
async def test_an_idle_connection_is_closed(opened_data_dir: Path, path: str) -> None:
    async with serving(Settings(data_dir=opened_data_dir, idle_timeout=1)) as api:
        async with sending(api, get(path)) as reader:
            answer = await to_the_end(reader)
        counted = await numbers(api)

    assert answer.startswith(b"HTTP/1.1 ")
    assert counted["connections_closed_total{reason=idle}"] >= 1


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_a_connection_above_the_limit_is_refused(opened_data_dir: Path, most: int) -> None:
    settings = Settings(data_dir=opened_data_dir, max_connections=most)
    async with serving(settings) as api, AsyncExitStack() as stack:
        for _ in range(most):
            stream = await stack.enter_async_context(sending(api, get("/api/events/stream")))
            await stream.readuntil(b"retry:")
        async with sending(api, get("/livez")) as reader:
            refused = await to_the_end(reader)

        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"all connections" in refused
        assert api.server.clients.closed["full"] == 1


@pytest.mark.parametrize("most", [1, 2, 4])
async def test_a_new_client_replaces_an_idle_connection(opened_data_dir: Path, most: int) -> None:
    settings = Settings(data_dir=opened_data_dir, max_connections=most)
    async with serving(settings) as api, AsyncExitStack() as stack:
        for _ in range(most):
            await stack.enter_async_context(sending(api, b""))
        await asyncio.sleep(0.1)

        assert (await api.get("/livez")).status == 200


@pytest.mark.parametrize("size", [2, 4, 8])
async def test_one_user_gets_half_of_the_write_queue(opened_data_dir: Path, size: int) -> None:
    async with (
        serving_with_tokens(opened_data_dir, queue_size=size) as api,
        AsyncExitStack() as stack,
    ):
        mallory, alice = caller(api, "mallory"), caller(api, "alice")
        for _ in range(size // 2):
            await stack.enter_async_context(sending(api, unfinished_upload(mallory)))
        async with asyncio.timeout(60):  # fails a test that hangs
            while api.backend.committer.slots.taken < size // 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        refused = await mallory.call("POST", "/api/assets", json={"name": "a"})

        assert (refused.status, refused.slug) == (503, "busy")
        await alice.created()


def unfinished_upload(user: Caller) -> bytes:
    head = f"POST /api/assets?name=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user.token}\r\n"
    return f"{head}Content-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf".encode()


@pytest.mark.parametrize("free", [0, 5, 31])
async def test_a_shortage_of_descriptors_makes_the_server_not_ready_while_it_lasts(
    api: Api, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    used = await asyncio.to_thread(lambda: descriptors.limit() - descriptors.free())
    with monkeypatch.context() as patched:
        patched.setattr(descriptors, "limit", lambda: used + free)
        status, parts = await ready(api)

    assert (status, parts["descriptors"]["ok"]) == (503, False)
    assert "ulimit -n" in parts["descriptors"]["reason"]
    assert (await ready(api))[0] == 200


@pytest.mark.parametrize("name", ["a stream", "a history", "a content"])
async def test_a_revoked_token_ends_what_it_receives(opened_data_dir: Path, name: str) -> None:
    async with serving_with_tokens(opened_data_dir) as api:
        bob = caller(api, "bob", *ALL)
        assert bob.token is not None
        request = await long_request(bob, name)
        async with sending(api, request) as reader:
            await reader.readuntil(b"\r\n\r\n")
            revoke(api, bob.token)
            async with asyncio.timeout(5):
                await closed(api, "revoked")
            await to_the_end(reader)

        assert (await numbers(api))["connections_closed_total{reason=revoked}"] == 1


async def long_request(bob: Caller, name: str) -> bytes:
    """Return a request of this user whose answer has no end, or is very long."""
    if name == "a stream":
        return get("/api/events/stream", bob.token)
    if name == "a content":
        big = await bob.created(b"x" * 30_000_000)
        return get(f"/api/assets/{big['id']}/content", bob.token)
    for number in range(MANY):
        fields: dict[str, Any] = {"name": str(number), "metadata": LONG, "job_id": "j"}
        await bob.call("POST", "/api/assets", json=fields)
    return get("/api/jobs/j/history", bob.token, "Accept: application/x-ndjson")


@pytest.mark.slow
async def test_zips_of_one_user_wait_for_each_other_and_not_for_those_of_others(
    opened_data_dir: Path,
) -> None:
    async with serving_with_tokens(opened_data_dir) as api, AsyncExitStack() as held:
        alice, bob = caller(api, "alice"), caller(api, "bob")
        big, small = await alice.created(b"x" * 30_000_000), await bob.created(b"x")
        sent = zip_request(big["id"], str(alice.token))
        readers = [
            await held.enter_async_context(sending(api, sent))
            for _ in range(EACH + MAX_WAITING + 1)
        ]
        lines = [asyncio.create_task(reader.readline()) for reader in readers]
        async with asyncio.timeout(60):  # fails a test that hangs
            while sum(line.done() for line in lines) <= EACH:
                await asyncio.wait(lines, return_when=asyncio.FIRST_COMPLETED, timeout=0.05)

        other = await downloaded(bob, small["id"])

        answered = sorted(line.result()[9:12] for line in lines if line.done())
        assert (answered, other.status) == ([b"200"] * EACH + [b"503"], 200)
        assert 'limit="zips"' in (await api.get("/metrics")).body.decode()
        await held.aclose()
        await asyncio.gather(*lines, return_exceptions=True)
        assert (await downloaded(alice, big["id"])).status == 200


def zip_request(asset_id: str, token: str) -> bytes:
    body = orjson.dumps({"asset_ids": [asset_id]})
    lines = ["POST /api/assets/download HTTP/1.1", "Host: localhost"]
    lines += [f"Authorization: Bearer {token}", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def downloaded(user: Caller, asset_id: str) -> Answer:
    return await user.call("POST", "/api/assets/download", json={"asset_ids": [asset_id]})


async def test_metrics_count_open_connections(api: Api) -> None:
    before = (await numbers(api))["connections"]

    async with sending(api, get("/livez")) as reader:
        await reader.readuntil(b"OK")
        during = (await numbers(api))["connections"]

    assert (before, during) == (1, 2)
