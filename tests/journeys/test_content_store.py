"""Large contents in a real object store: memory, cancelled uploads, kills and a failing store."""

import asyncio
import hashlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from random import Random
from threading import Thread
from urllib.parse import urlsplit

import boto3
import pytest

from asset_ledger.ledger.errors import StoreUnavailableError
from asset_ledger.ledger.storage.object_store import ObjectStore
from tests.contracts.content_store import ContentStoreContract, StoreFactory
from tests.environment import set_only
from tests.journeys.client import Client, Reply, raw_connection, request_head, talking
from tests.journeys.server import BACK, PATIENCE, Server, run, serving, until
from tests.ledger.content.test_objects import open_store
from tests.postgres import Postgres
from tests.s3 import serving_s3

pytestmark = pytest.mark.slow

MIB = 1 << 20
MOST_MEMORY = 20 * MIB
URL = "s3://backups/contents"
RANDOM = Random("contents")
PATTERN = RANDOM.randbytes(MIB)
A_SECOND = 1_024
"""Bytes that a slow store takes or sends in a second."""
REQUEST, PART = 30.0, 90.0
"""Seconds until a request, and one with a part of an upload, fails: see docs/scaling.md."""
ALLOWANCE = 10.0
"""Seconds that a busy machine may add, and the first of the two requests of a read."""

in_a_folder = pytest.mark.parametrize("server", ["folder"], indirect=True)


class Proxy:
    """Passes bytes on to a store, or fails: `mode` is `pass`, `busy` (503), `silent` or `slow`."""

    def __init__(self, endpoint: str) -> None:
        self.mode = "pass"
        self._target = urlsplit(endpoint)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        address = (self._target.hostname or "", self._target.port or 0)
        with client, socket.create_connection(address) as store, suppress(OSError):
            Thread(target=self._answer, args=(store, client), daemon=True).start()
            while data := client.recv(1 << 16):
                if self.mode == "busy":
                    client.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n")
                    client.sendall(b"Connection: close\r\n\r\n")
                    return
                self._pass(data, store)

    def _answer(self, store: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := store.recv(1 << 16):
                self._pass(data, client)

    def _pass(self, data: bytes, target: socket.socket) -> None:
        while data and self.mode == "slow":
            time.sleep(1)
            target.sendall(data[:A_SECOND])
            data = data[A_SECOND:]
        if self.mode == "pass":
            target.sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A store, behind a proxy that can fail; the environment has its credentials."""
    with pytest.MonkeyPatch.context() as patch, serving_s3(tmp_path_factory.mktemp("s3")) as s3:
        proxy = Proxy(s3.endpoint)
        set_only(patch, "AWS_", {**s3.environment, "AWS_ENDPOINT_URL": proxy.endpoint})
        yield proxy
        proxy.close()


@pytest.fixture(scope="module", params=["folder", "database"])
def server(
    request: pytest.FixtureRequest, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server whose log is in its data folder, or in PostgreSQL."""
    with ExitStack() as stack:
        flags = ["--content-url", f"{URL}/{request.param}"]
        if request.param == "database":
            postgres: Postgres = request.getfixturevalue("postgres")
            flags += ["--database-url", stack.enter_context(postgres.database())]
        place = tmp_path_factory.mktemp("server")
        yield stack.enter_context(serving(place / "data", *flags))


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with talking(server.port) as connected:
        yield connected


class TestObjectsInS3(ContentStoreContract):
    @pytest.fixture
    def store_factory(self, proxy: Proxy, tmp_path: Path) -> StoreFactory:
        return lambda: open_store(tmp_path / "content", f"s3://backups/contract/{tmp_path.name}")


class Bucket:
    """The bucket, by a client that is not obstore, and what a test adds to it."""

    def __init__(self) -> None:
        self.client = boto3.client("s3")
        self._before, self._begun = self._objects(), self._uploads()

    def _objects(self) -> dict[str, int]:
        found = self.client.list_objects_v2(Bucket="backups", Prefix="contents/")
        return {each["Key"]: each["Size"] for each in found.get("Contents", ())}

    @property
    def added(self) -> dict[str, int]:
        """The sizes of new objects."""
        return {key: size for key, size in self._objects().items() if key not in self._before}

    def _uploads(self) -> set[str]:
        found = self.client.list_multipart_uploads(Bucket="backups").get("Uploads", ())
        return {each["UploadId"] for each in found}

    @property
    def unfinished(self) -> int:
        """The number of new multipart uploads that were not ended."""
        return len(self._uploads() - self._begun)


@pytest.fixture
def bucket(proxy: Proxy) -> Bucket:
    return Bucket()


def blocks(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield number.to_bytes(8, "big") + PATTERN[8:]


def resident(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, status
    return int(found[1]) * 1024


@pytest.mark.parametrize("size", [70_000, 8 * MIB, 20 * MIB + 7])
def test_content_is_read_from_the_store_as_it_was_sent(
    server: Server, client: Client, bucket: Bucket, size: int
) -> None:
    whole = RANDOM.randbytes(size)

    asset = client.upload(whole, name="a.bin").json

    ((key, stored),) = bucket.added.items()
    head = bucket.client.head_object(Bucket="backups", Key=key, ChecksumMode="ENABLED")
    assert (stored, bool(head["ChecksumSHA256"])) == (size, True)
    assert client.get(f"/api/assets/{asset['id']}/content").body == whole
    part = client.get(f"/api/assets/{asset['id']}/content", Range="bytes=60000-69999")
    assert (part.status, part.body) == (206, whole[60_000:70_000])
    assert not [*(server.data_dir / "content" / "objects").rglob("*")]


def begin_upload(connection: socket.socket, bucket: Bucket) -> None:
    """Send the first 30 of 100 MiB, and wait until parts are in the store."""
    head = {"Content-Length": str(100 * MIB), "Content-Type": "video/mp4"}
    connection.sendall(request_head(head, "/api/assets?name=film.mp4"))
    for block in blocks(30):
        connection.sendall(block)
    until(lambda: bucket.unfinished > 0, "parts are in the store")


def test_ended_connection_leaves_no_part_in_the_store(server: Server, bucket: Bucket) -> None:
    with raw_connection(server.port) as connection:
        begin_upload(connection, bucket)

    until(lambda: not bucket.unfinished, "the upload was aborted")
    assert bucket.added == {}


def test_busy_store_gets_its_problem_and_serves_again_by_itself(
    proxy: Proxy, client: Client
) -> None:
    whole = RANDOM.randbytes(9 * MIB)
    asset = client.upload(whole, name="a.bin").json
    path = f"/api/assets/{asset['id']}/content"

    proxy.mode = "busy"
    replies = [client.get(path), client.upload(whole, name="b.bin"), client.upload(b"s", name="s")]
    proxy.mode = "pass"

    assert [reply.status for reply in replies] == [503, 503, 201]
    assert {reply.slug for reply in replies[:2]} == {"store-unavailable"}
    assert all(reply.headers["Retry-After"] for reply in replies[:2])
    until(lambda: client.get(path).status == 200, "the content is read", BACK)
    assert client.get(path).body == whole
    assert client.upload(whole, name="b.bin").status == 201


@pytest.mark.parametrize("mode", ["silent", "slow"])
async def test_failing_store_fails_within_the_deadline(proxy: Proxy, mode: str) -> None:
    store = ObjectStore(f"{URL}/{mode}", deadline=1.0)
    writer = store.writer("objects/kept")
    await writer.write([PATTERN])
    await writer.close()
    begun = store.writer("objects/begun")
    await begun.write([PATTERN] * 9)

    proxy.mode = mode
    for call in (store.size("objects/kept"), store.read("objects/kept", 0, 9_999), begun.close()):
        async with asyncio.timeout(60):  # a hang
            with pytest.raises(StoreUnavailableError):
                await call
    async with asyncio.timeout(60):
        await begun.abort()
    proxy.mode = "pass"

    assert await store.read("objects/kept", 0, MIB) == PATTERN


def test_silent_and_slow_stores_get_their_problem_in_time(proxy: Proxy, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        silent = threads.submit(check_refusals, proxy.endpoint, "silent", tmp_path / "silent")
        slow = threads.submit(check_refusals, proxy.endpoint, "slow", tmp_path / "slow")
    silent.result()
    slow.result()


def check_refusals(endpoint: str, mode: str, data_dir: Path) -> None:
    """Check that a read and an upload at once are refused in time, and then work again."""
    failing = Proxy(endpoint)
    before = ("env", f"AWS_ENDPOINT_URL={failing.endpoint}")
    with serving(data_dir, "--content-url", f"{URL}/{mode}", before=before) as server:
        with talking(server.port) as client:
            path = client.created(RANDOM.randbytes(9 * MIB))["get_url"]
        send = partial(Client.send, content=RANDOM.randbytes(9 * MIB), name="b.bin")
        failing.mode = mode
        with ThreadPoolExecutor(2) as threads:
            read = threads.submit(refused_after, server.port, lambda client: client.get(path))
            sent = threads.submit(refused_after, server.port, send)
        failing.mode = "pass"
        assert read.result() < REQUEST + ALLOWANCE
        assert sent.result() < PART + ALLOWANCE
        with talking(server.port) as client:
            until(lambda: client.get(path).status == 200, "the content is read", BACK)
            assert send(client).status == 201
    failing.close()


def refused_after(port: int, call: Callable[[Client], Reply]) -> float:
    """Return the seconds until the answer that the store is not available."""
    began = time.monotonic()
    with talking(port, PART + PATIENCE) as client:
        reply = call(client)
    assert (reply.status, reply.slug) == (503, "store-unavailable"), reply.body
    return time.monotonic() - began


def test_collected_content_leaves_the_store(client: Client, bucket: Bucket) -> None:
    kept, gone = (client.created(RANDOM.randbytes(9 * MIB)) for _ in range(2))
    assert client.delete(f"/api/assets/{gone['id']}").status == 200

    body = b'{"apply": true, "retain_deleted": "0"}'
    reply = client.call("POST", "/api/collection", body, {"Content-Type": "application/json"})

    assert reply.status == 200, reply.body
    assert [*bucket.added.values()] == [9 * MIB]
    assert client.get(gone["get_url"]).status == 410
    assert client.get(kept["get_url"]).status == 200


@in_a_folder
def test_commands_read_the_contents_of_the_store(
    server: Server, client: Client, bucket: Bucket, tmp_path: Path
) -> None:
    for size in (100, 100_000, 9 * MIB):
        client.upload(RANDOM.randbytes(size), name="a.bin", job_id="j")
    folder, restored = server.data_dir, tmp_path / "restored"

    for arguments in (
        ("verify", "--data-dir", folder),
        ("export", "ledger", tmp_path / "export", "--data-dir", folder),
        ("backup", "create", tmp_path / "backups", "--data-dir", folder),
        ("backup", "restore", tmp_path / "backups", "--data-dir", restored),
        ("audit-bundle", "j", "-o", tmp_path / "j.zip", "--data-dir", folder),
    ):
        done = run(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    copies = {path.stat().st_size for path in (restored / "content/objects").glob("*/*/*")}
    assert {100_000, 9 * MIB} <= copies


def test_killed_server_leaves_a_whole_ledger(
    server: Server, client: Client, bucket: Bucket
) -> None:
    whole = RANDOM.randbytes(9 * MIB)
    asset = client.upload(whole, name="a.bin").json
    before = len(client.get("/api/assets?limit=100").json["assets"])
    with raw_connection(server.port) as connection:
        begin_upload(connection, bucket)
        server.kill()
    server.start()

    with talking(server.port) as again:
        assert again.get(f"/api/assets/{asset['id']}/content").body == whole
        assert len(again.get("/api/assets?limit=100").json["assets"]) == before
    assert [*bucket.added.values()] == [9 * MIB]


@in_a_folder
def test_verify_names_a_missing_object(server: Server, client: Client, bucket: Bucket) -> None:
    client.upload(RANDOM.randbytes(100_000), name="a.bin")
    (key,) = bucket.added
    bucket.client.delete_object(Bucket="backups", Key=key)

    done = run("verify", "--data-dir", server.data_dir)

    assert done.returncode == 1
    assert key.removeprefix("contents/") in done.stdout


@in_a_folder
def test_upload_of_256_mib_takes_20_mib_of_memory(server: Server, client: Client) -> None:
    # The last test: the others would read its content. The first upload loads the code.
    client.send(blocks(1), name="warm.bin")
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    before = resident(server.pid, "VmRSS")

    reply = client.send(blocks(256), name="film.mp4")

    assert reply.status == 201, reply.body
    assert resident(server.pid, "VmHWM") - before <= MOST_MEMORY
    hashed = hashlib.sha256()
    for block in blocks(256):
        hashed.update(block)
    assert reply.json["digest"] == f"sha256:{hashed.hexdigest()}"
