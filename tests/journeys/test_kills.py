"""kill -9, in a loop and at chosen instants: what was acknowledged is there, the rest is not."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.journeys.audit import audit, events_in, objects
from tests.journeys.client import BROKEN, Client, Reply, plugged, request_head, talking
from tests.journeys.load import CONNECTIONS, MANY, Load, under_load
from tests.journeys.server import Server, serving, until
from tests.journeys.write_lock import write_locked

LARGE = random.Random("large").randbytes(200_000)


@pytest.mark.slow
def test_five_kills_under_load_lose_nothing_that_was_acknowledged(data_dir: Path) -> None:
    kill_again_and_again(data_dir, times=5)


@pytest.mark.chaos
def test_twenty_five_kills_under_load_lose_nothing_that_was_acknowledged(data_dir: Path) -> None:
    kill_again_and_again(data_dir, times=25)


def kill_again_and_again(data_dir: Path, times: int) -> None:
    """Of servers that write in threads, and of ones that are about to have a process write."""
    load = Load()
    with serving(data_dir) as server:
        for number in range(times):
            connections = (MANY, CONNECTIONS)[number % 2]
            with under_load(server.port, load, seed=number, connections=connections):
                kill_at_some_instant(server, load, random.Random(number))
            server.start()
            check(server, load)
        assert server.stop() == 0
        assert "Traceback" not in server.errors
    audit(data_dir)


def kill_at_some_instant(server: Server, load: Load, dice: random.Random) -> None:
    """After some answers, somewhere within the turns that follow."""
    for _ in range(dice.randrange(20, 120)):
        assert load.answers.acquire(timeout=60)
    time.sleep(dice.uniform(0, 0.02))  # not to wait for anything: the instant is the dice
    server.kill()


def check(server: Server, load: Load) -> None:
    """Everything acknowledged is there; everything unanswered can be sent again, and is once."""
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
    """Whatever had a key and got no answer; twice, and it makes no difference."""
    retries, load.unanswered = [u for u in load.unanswered if u.key], []
    with talking(server.port) as client:
        for upload in retries:
            first, second = upload.send(client), upload.send(client)
            load.acknowledge(upload, first)
            assert second.replayed
            assert second.body == first.body


def upload_or_break(port: int, content: bytes, key: str) -> Reply | None:
    """The answer to an upload; None if the server died before it."""
    with talking(port) as client:
        try:
            return client.upload(content, key, name="a.bin", job_id="j")
        except BROKEN:
            return None


@pytest.mark.slow
def test_killed_between_content_and_event_it_keeps_bytes_that_nobody_names(
    server: Server, data_dir: Path
) -> None:
    with ThreadPoolExecutor() as threads, write_locked(data_dir / "ledger.db"):
        upload = threads.submit(upload_or_break, server.port, LARGE, "k")
        until(lambda: any(objects(data_dir / "content")), "the content is published")
        server.kill()
        assert upload.result() is None

    server.start()

    assert len(audit(data_dir)) == 1  # the log was opened, and that is all
    with talking(server.port) as client:
        assert client.assets() == []
        reply = client.upload(LARGE, "k", name="a.bin", job_id="j")
        assert (reply.status, reply.replayed) == (201, False)
        assert client.get(reply.json["get_url"]).body == LARGE
    assert len(list(objects(data_dir / "content"))) == 1
    audit(data_dir)


@pytest.mark.slow
def test_killed_between_event_and_table_it_shows_the_asset_after_the_next_start(
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
def test_killed_while_a_body_arrives_it_leaves_nothing_behind(
    server: Server, data_dir: Path
) -> None:
    arriving = data_dir / "content" / "tmp"
    with plugged(server.port) as plug:
        plug.sendall(request_head({"Content-Length": "4000000"}) + LARGE * 10)
        until(lambda: any(arriving.iterdir()), "some of it is in a file")
        server.kill()

    server.start()

    assert not any(arriving.iterdir())
    assert len(audit(data_dir)) == 1


@pytest.mark.slow
def test_killed_while_it_deletes_a_folder_it_finishes_at_the_next_start(
    server: Server, client: Client, data_dir: Path
) -> None:
    folder = client.folder()
    inner = client.folder(parent_id=folder["id"])
    fill(server, inner["id"], 1_000)
    fill(server, folder["id"], 1_000)

    # Tables that stand still show what is left once, and no more of it.
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
        again = client.delete(f"/api/assets/{folder['id']}")
        assert (again.status, again.json) == (200, {"deleted_asset_ids": []})


def fill(server: Server, folder_id: str, times: int) -> None:
    """Put assets without a file into a folder, some at a time."""

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
