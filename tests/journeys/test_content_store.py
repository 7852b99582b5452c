"""Large contents in a real object store: memory, cancelled uploads, kills and a failing store."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest

from tests.journeys.client import Client, raw_connection, request_head, talking
from tests.journeys.server import Server, serving, until
from tests.s3 import S3, serving_s3

pytestmark = pytest.mark.slow

MIB = 1 << 20
MOST_MEMORY = 20 * MIB
URL = "s3://backups/contents"
RANDOM = Random("contents")
PATTERN = RANDOM.randbytes(MIB)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(autouse=True)
def _credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(s3: S3) -> Any:
    """A client of the bucket that is not obstore."""
    return boto3.client("s3", endpoint_url=s3.endpoint)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "data", "--content-url", f"{URL}/{tmp_path.name}") as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with talking(server.port) as connected:
        yield connected


def objects(bucket: Any, tmp_path: Path) -> dict[str, int]:
    """Return the sizes of the objects of one test."""
    found = bucket.list_objects_v2(Bucket="backups", Prefix=f"contents/{tmp_path.name}/")
    return {each["Key"]: each["Size"] for each in found.get("Contents", ())}


def unfinished(bucket: Any, tmp_path: Path) -> list[str]:
    """Return the multipart uploads that a test has not ended."""
    found = bucket.list_multipart_uploads(Bucket="backups").get("Uploads", ())
    return [each["Key"] for each in found if tmp_path.name in each["Key"]]


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
    client: Client, bucket: Any, tmp_path: Path, server: Server, size: int
) -> None:
    whole = RANDOM.randbytes(size)

    asset = client.upload(whole, name="a.bin").json

    assert [*objects(bucket, tmp_path).values()] == [size]
    assert client.get(f"/api/assets/{asset['id']}/content").body == whole
    part = client.get(f"/api/assets/{asset['id']}/content", Range="bytes=60000-69999")
    assert (part.status, part.body) == (206, whole[60_000:70_000])
    assert not [*(server.data_dir / "content" / "objects").rglob("*")]


def test_store_keeps_a_sha256_of_what_was_sent(client: Client, bucket: Any, tmp_path: Path) -> None:
    client.upload(RANDOM.randbytes(100_000), name="a.bin")

    (key,) = objects(bucket, tmp_path)
    head = bucket.head_object(Bucket="backups", Key=key, ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"]


def test_upload_of_256_mib_takes_20_mib_of_memory(server: Server, client: Client) -> None:
    client.send(blocks(20), name="warm.bin")  # the code and the connections of an upload
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    before = resident(server.pid, "VmRSS")

    reply = client.send(blocks(256), name="film.mp4")

    assert reply.status == 201, reply.body
    assert resident(server.pid, "VmHWM") - before <= MOST_MEMORY
    hashed = hashlib.sha256()
    for block in blocks(256):
        hashed.update(block)
    assert reply.json["digest"] == f"sha256:{hashed.hexdigest()}"


def test_ended_connection_leaves_no_part_in_the_store(
    server: Server, bucket: Any, tmp_path: Path
) -> None:
    with raw_connection(server.port) as connection:
        head = {"Content-Length": str(100 * MIB), "Content-Type": "video/mp4"}
        connection.sendall(request_head(head, "/api/assets?name=film.mp4"))
        for block in blocks(40):
            connection.sendall(block)
        until(lambda: bool(unfinished(bucket, tmp_path)), "parts are in the store")

    until(lambda: not unfinished(bucket, tmp_path), "the upload was aborted")
    assert objects(bucket, tmp_path) == {}
