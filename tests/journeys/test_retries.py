"""Requests with the same Idempotency-Key record once and get the same answer."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from tests.journeys.audit import audit, events_in, objects
from tests.journeys.client import Client, Reply, talking
from tests.journeys.server import Server

LARGE = bytes(200_000)


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"small", LARGE, None], ids=["small", "large", "none"])
def test_a_retry_after_a_restart_gets_the_first_answer(
    server: Server, content: bytes | None
) -> None:
    fields = {"name": "a.bin", "content_type": "text/plain", "job_id": "j", "tags": ["x", "y"]}
    with talking(server.port) as client:
        first = client.upload(content, "k", **fields)
        assert (first.status, first.replayed) == (201, False)

    server.kill()
    server.start()

    with talking(server.port) as client:
        retry = client.upload(content, "k", **fields)
        assert (retry.status, retry.replayed, retry.body) == (201, True, first.body)
        assert retry.headers["Location"] == first.headers["Location"]
        other = client.upload(content, "k", **fields | {"job_id": "other"})
        assert (other.status, other.slug) == (422, "key-reused")
        assert len(client.assets()) == 1
    audit(server.data_dir)


@pytest.mark.slow
def test_a_retry_gets_the_first_answer_after_its_asset_was_deleted(
    server: Server, client: Client
) -> None:
    folder = client.folder()
    fields = {"name": "a.bin", "parent_id": folder["id"]}
    first = client.upload(LARGE, "k", **fields)
    assert client.delete(f"/api/assets/{folder['id']}", Idempotency_Key="d").status == 200
    assert client.upload(LARGE, "k", **fields).body == first.body

    assert server.stop() == 0
    server.start()

    with talking(server.port) as client:
        retry = client.upload(LARGE, "k", **fields)
        assert (retry.status, retry.replayed, retry.body) == (201, True, first.body)
        deletion = client.delete(f"/api/assets/{folder['id']}", Idempotency_Key="d")
        deleted = {"deleted_asset_ids": [folder["id"], first.json["id"]]}
        assert (deletion.status, deletion.replayed, deletion.json) == (200, True, deleted)
        assert client.upload(b"", "d", name="b.bin").slug == "key-reused"
        assert client.assets() == []
    audit(server.data_dir)


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
def test_concurrent_requests_with_one_key_record_once(
    server: Server, data_dir: Path, content: bytes
) -> None:
    replies = [reply for n in range(10) for reply in race(server, content, [f"k{n}"] * 4)]

    for start in range(0, 40, 4):
        racers = replies[start : start + 4]
        assert {reply.status for reply in racers} == {201}
        assert len({reply.body for reply in racers}) == 1
        assert sorted(reply.replayed for reply in racers) == [False, True, True, True]
    assert len(events_in(data_dir)) == 11
    audit(data_dir)


@pytest.mark.slow
def test_concurrent_different_requests_with_one_key_record_one_of_them(
    server: Server, data_dir: Path
) -> None:
    for number in range(10):
        replies = race(server, b"small", [f"k{number}"] * 4, differently=True)
        assert sorted(reply.status for reply in replies) == [201, 422, 422, 422]
        assert {reply.slug for reply in replies if reply.status == 422} == {"key-reused"}
    assert len(audit(data_dir)) == 11


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
def test_concurrent_uploads_of_the_same_bytes_store_them_once(
    server: Server, data_dir: Path, content: bytes
) -> None:
    replies = race(server, content, [None] * 8)

    assert {reply.status for reply in replies} == {201}
    assert len({reply.json["id"] for reply in replies}) == 8
    assert len(list(objects(data_dir / "content"))) == (content == LARGE)
    audit(data_dir)


def race(
    server: Server, content: bytes, keys: list[str] | list[None], differently: bool = False
) -> list[Reply]:
    """Upload once with each key, all at the same moment."""
    start = Barrier(len(keys))

    def upload(number: int) -> Reply:
        fields: dict[str, Any] = {"name": f"{number if differently else 0}.bin", "job_id": "j"}
        with talking(server.port) as client:
            client.connection.connect()
            start.wait(60)
            return client.upload(content, keys[number], **fields)

    with ThreadPoolExecutor(len(keys)) as threads:
        return list(threads.map(upload, range(len(keys))))
