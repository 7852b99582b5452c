"""kill -9 at random and at chosen moments: exactly the acknowledged uploads are recorded."""

import json
import random
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.journeys.audit import audit, events_in, objects
from tests.journeys.client import BROKEN, Client, Reply, raw_connection, request_head, talking
from tests.journeys.load import CONNECTIONS, MANY_CONNECTIONS, Load, under_load
from tests.journeys.server import Server, serving, until
from tests.journeys.write_lock import write_locked

LARGE = random.Random("large").randbytes(200_000)


@pytest.mark.slow
def test_five_kills_under_load_lose_no_acknowledged_upload(data_dir: Path) -> None:
    kill_many_times(data_dir, times=5)


@pytest.mark.chaos
def test_twenty_five_kills_under_load_lose_no_acknowledged_upload(data_dir: Path) -> None:
    kill_many_times(data_dir, times=25)


def kill_many_times(data_dir: Path, times: int) -> None:
    """Kill a server under load, with many connections and with few in turn."""
    load = Load()
    with serving(data_dir) as server:
        for number in range(times):
            connections = (MANY_CONNECTIONS, CONNECTIONS)[number % 2]
            with under_load(server.port, load, seed=number, connections=connections):
                kill_at_a_random_moment(server, load, random.Random(number))
            server.start()
            check(server, load)
        assert server.stop() == 0
        assert "Traceback" not in server.errors
    audit(data_dir)


def kill_at_a_random_moment(server: Server, load: Load, dice: random.Random) -> None:
    """Kill the server some answers later, at a random moment of a commit."""
    load.wait_for_answers(dice.randrange(20, 120))
    time.sleep(dice.uniform(0, 0.02))
    server.kill()


def check(server: Server, load: Load) -> None:
    """Check that acknowledged uploads are recorded, and retries of unanswered ones record once."""
    audit(server.data_dir)
    check_acknowledged(server, load)
    send_again(server, load)
    events = audit(server.data_dir)
    names = [f.fields["private"]["name"] for f in events if f.topic == "asset.created"]
    keyed = [upload.name for upload, _ in load.acknowledged.values() if upload.key]
    assert [name for name in keyed if names.count(name) != 1] == []


def check_acknowledged(server: Server, load: Load) -> None:
    with talking(server.port) as client:
        listed = {asset["id"]: asset for asset in client.assets()}
        for asset_id, (upload, answered) in load.acknowledged.items():
            assert listed[asset_id] == answered
            assert client.get(f"/api/assets/{asset_id}").json == answered
            assert client.get(answered["get_url"]).body == upload.content
            assert answered["digest"] == upload.digest


def send_again(server: Server, load: Load) -> None:
    """Retry every unanswered upload with a key twice."""
    retries, load.unanswered = [u for u in load.unanswered if u.key], []
    with talking(server.port) as client:
        for upload in retries:
            first, second = upload.send(client), upload.send(client)
            load.acknowledge(upload, first)
            assert second.replayed
            assert second.body == first.body


def upload_or_break(port: int, content: bytes, key: str) -> Reply | None:
    """Upload, and return the answer, None if the server was killed first."""
    with talking(port) as client:
        try:
            return client.upload(content, key, name="a.bin", job_id="j")
        except BROKEN:
            return None


@pytest.mark.slow
def test_a_kill_between_content_and_event_leaves_only_unused_content(
    server: Server, data_dir: Path
) -> None:
    with ThreadPoolExecutor() as threads, write_locked(data_dir / "ledger.db"):
        upload = threads.submit(upload_or_break, server.port, LARGE, "k")
        until(lambda: any(objects(data_dir / "content")), "the content is published")
        server.kill_with_committer()
        assert upload.result() is None

    server.start()

    assert len(audit(data_dir)) == 1  # `ledger.opened`
    with talking(server.port) as client:
        assert client.assets() == []
        reply = client.upload(LARGE, "k", name="a.bin", job_id="j")
        assert (reply.status, reply.replayed) == (201, False)
        assert client.get(reply.json["get_url"]).body == LARGE
    assert len(list(objects(data_dir / "content"))) == 1
    audit(data_dir)


@pytest.mark.slow
def test_a_kill_between_event_and_table_shows_the_asset_after_the_next_start(
    server: Server, data_dir: Path
) -> None:
    with ThreadPoolExecutor() as threads, write_locked(data_dir / "projections.g1.db"):
        upload = threads.submit(upload_or_break, server.port, b"small", "k")
        until(lambda: len(events_in(data_dir)) == 2, "the event is recorded")
        server.kill()
        assert upload.result() is None

    server.start()

    audit(data_dir)
    with talking(server.port) as client:
        (asset,) = client.assets()
        assert client.get(asset["get_url"]).body == b"small"
        reply = client.upload(b"small", "k", name="a.bin", job_id="j")
        assert (reply.status, reply.replayed) == (201, True)
        assert reply.json == asset
    assert len(events_in(data_dir)) == 2


@pytest.mark.slow
def test_a_kill_during_an_upload_leaves_no_event_and_no_file(
    server: Server, data_dir: Path
) -> None:
    arriving = data_dir / "content" / "tmp"
    with raw_connection(server.port) as connection:
        connection.sendall(request_head({"Content-Length": "4000000"}) + LARGE * 10)
        until(lambda: any(arriving.iterdir()), "the upload is in a temporary file")
        server.kill()

    server.start()

    assert not any(arriving.iterdir())
    assert len(audit(data_dir)) == 1


@pytest.mark.slow
def test_a_kill_during_the_deletion_of_a_folder_is_finished_by_the_next_start(
    server: Server, client: Client, data_dir: Path
) -> None:
    folder = client.folder()
    inner = client.folder(parent_id=folder["id"])
    fill(server, inner["id"], 1_000)
    fill(server, folder["id"], 1_000)

    # With locked tables the server reads the contents of the folder once, then has to wait.
    with ThreadPoolExecutor() as threads, write_locked(data_dir / "projections.g1.db"):
        deletion = threads.submit(delete_or_break, server.port, folder["id"])
        until(lambda: len(events_in(data_dir)) > 2_003, "the deletion has begun")
        server.kill()
        deletion.result()
    server.start()

    events = audit(data_dir)
    tombstones = [event for event in events if event.topic == "asset.deleted"]
    assert len(tombstones) == 2_002
    by = [event.fields["by"] for event in tombstones]
    assert by == ["1"] * by.count("1") + ["system"] * by.count("system")
    assert 0 < by.count("1") < 2_002
    with talking(server.port) as client:
        assert client.assets() == []
        second = client.delete(f"/api/assets/{folder['id']}")
        assert (second.status, second.json) == (200, {"deleted_asset_ids": []})


def fill(server: Server, folder_id: str, times: int) -> None:
    """Create assets without a file in a folder, over eight connections."""

    def some(_: int) -> None:
        with talking(server.port) as client:
            for _ in range(times // 8):
                client.created(None, content_type="text/plain", parent_id=folder_id)

    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(some, range(8)))) == 8


def delete_or_break(port: int, asset_id: str) -> Reply | None:
    with talking(port) as client:
        try:
            return client.delete(f"/api/assets/{asset_id}")
        except BROKEN:
            return None


@pytest.mark.slow
def test_a_run_survives_a_kill_between_its_start_and_its_end(data_dir: Path) -> None:
    path, named = "/api/jobs/j/nodes", {"node_id": "n"}
    with serving(data_dir) as server:
        for number in range(3):
            run = {**named, "run": str(number)}
            with talking(server.port) as client:
                assert post(client, f"{path}/start", run) == 200
            server.kill()
            server.start()
            with talking(server.port) as client:
                (node,) = client.get(path).json["nodes"]
                assert (node["runs"], node["running"]) == (number + 1, 1)
                end = {**run, "status": "failed", "seconds": 1.5}
                assert post(client, f"{path}/finish", end) == 200
                (node,) = client.get(path).json["nodes"]
            assert (node["running"], node["failed"]) == (0, number + 1)
        assert server.stop() == 0
    audit(data_dir)


def post(client: Client, path: str, fields: Mapping[str, object]) -> int:
    """Send a JSON body and return the status of the answer."""
    body = json.dumps(fields).encode()
    return client.call("POST", path, body, {"Content-Type": "application/json"}).status
