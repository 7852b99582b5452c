"""An event that this release cannot read stops the projections, and nothing else."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.journeys.audit import StoredEvent, events_in
from tests.journeys.client import BROKEN, Client, talking
from tests.journeys.server import Server, until
from tests.journeys.unreadable import append_unreadable_event
from tests.journeys.write_lock import write_locked


@pytest.mark.slow
def test_a_server_with_an_unreadable_event_records_and_answers_behind(
    server: Server, client: Client, data_dir: Path
) -> None:
    before = client.created(name="before")
    assert server.stop() == 0
    append_unreadable_event(data_dir)

    server.start()

    with talking(server.port) as client:
        assert client.assets() == [before]
        reply = client.upload(b"small", "k", name="after", job_id="j")
        assert (reply.status, reply.headers["Ledger-Projection"]) == (202, "behind")
        assert client.upload(b"small", "k", name="after", job_id="j").body == reply.body
        assert [event["asset_id"] for event in client.history("j")] == [reply.json["id"]]
        assert client.get(before["get_url"]).body == b"content"
    assert server.stop() == 0


@pytest.mark.slow
def test_a_start_does_not_hang_with_an_interrupted_deletion_and_an_unreadable_event(
    server: Server, client: Client, data_dir: Path
) -> None:
    folder = client.folder()
    for _ in range(300):
        client.created(None, content_type="text/plain", parent_id=folder["id"])
    with ThreadPoolExecutor() as threads, write_locked(data_dir / "projections.g1.db"):
        deletion = threads.submit(delete_or_break, server.port, folder["id"])
        until(lambda: len(events_in(data_dir)) > 302, "the deletion has begun")
        with write_locked(
            data_dir / "ledger.db"
        ):  # before the committer gives up waiting for the tables
            server.kill()
        deletion.result()
    assert len(events_in(data_dir)) == 303
    append_unreadable_event(data_dir)

    for _ in range(2):  # the tables show the deleted assets as live
        server.start()
        assert server.stop() == 0
        assert len(tombstones(data_dir)) == 257  # the folder and one batch of its contents


@pytest.mark.slow
def test_the_deletion_of_a_folder_answers_behind_with_an_unreadable_event(
    server: Server, client: Client, data_dir: Path
) -> None:
    folder = client.folder()
    client.created(parent_id=folder["id"])
    assert server.stop() == 0
    append_unreadable_event(data_dir)

    server.start()

    with talking(server.port) as client:
        for _ in range(2):
            reply = client.delete(f"/api/assets/{folder['id']}")
            assert (reply.status, reply.slug) == (503, "projection-behind")
            assert len(tombstones(data_dir)) == 2


def tombstones(data_dir: Path) -> list[StoredEvent]:
    return [event for event in events_in(data_dir) if event.topic == "asset.deleted"]


def delete_or_break(port: int, asset_id: str) -> None:
    with talking(port) as client:
        try:
            client.delete(f"/api/assets/{asset_id}")
        except BROKEN:
            return
