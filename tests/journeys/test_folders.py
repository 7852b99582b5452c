"""Deleting a folder deletes its contents, while other clients add to it or delete it too."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.journeys.audit import audit, events_in
from tests.journeys.client import Client, talking
from tests.journeys.server import Server, until


@pytest.mark.slow
def test_a_deleted_folder_leaves_no_live_asset_while_other_clients_add_to_it(
    server: Server, client: Client, data_dir: Path
) -> None:
    folder = client.folder()["id"]
    with ThreadPoolExecutor(6) as threads:
        creators = [threads.submit(create_until_refused, server.port, folder) for _ in range(6)]
        until(lambda: len(events_in(data_dir)) > 300, "the folder has many assets")
        reply = client.delete(f"/api/assets/{folder}")
        created = {asset_id for creator in creators for asset_id in creator.result()}

    assert reply.status == 200
    assert set(reply.json["deleted_asset_ids"]) == {folder, *created}
    assert client.assets() == []
    audit(data_dir)


def create_until_refused(port: int, folder: str) -> list[str]:
    """Create a folder with an asset inside the folder, again and again, until it is deleted."""
    created: list[str] = []
    with talking(port) as client:
        while True:
            parent = folder
            for content_type in ("folder", "text/plain"):
                fields = {"name": "a", "content_type": content_type, "parent_id": parent}
                reply = client.upload(None, **fields)
                if reply.status != 201:
                    assert (reply.status, reply.slug) == (422, "bad-field"), reply.body
                    return created
                parent = reply.json["id"]
                created.append(parent)


@pytest.mark.slow
def test_concurrent_deletions_of_one_asset_delete_it_once(
    server: Server, client: Client, data_dir: Path
) -> None:
    for _ in range(10):
        asset = client.created()["id"]
        deleted = delete_together(server, asset, times=6)
        assert sorted(deleted) == [[]] * 5 + [[asset]]
    audit(data_dir)


@pytest.mark.slow
def test_concurrent_deletions_of_one_folder_delete_each_asset_once(
    server: Server, client: Client, data_dir: Path
) -> None:
    folder = client.folder()["id"]
    inside = [client.created(parent_id=folder)["id"] for _ in range(600)]

    deleted = delete_together(server, folder, times=4)

    assert sorted(asset_id for ids in deleted for asset_id in ids) == sorted([folder, *inside])
    assert client.assets() == []
    audit(data_dir)


def delete_together(server: Server, asset_id: str, times: int) -> list[list[str]]:
    """Delete at the same moment over several connections, and return the ids of each answer."""
    start = Barrier(times)

    def delete(_: int) -> list[str]:
        with talking(server.port) as client:
            client.connection.connect()
            start.wait(60)
            reply = client.delete(f"/api/assets/{asset_id}")
            assert reply.status == 200, reply.body
            return list(reply.json["deleted_asset_ids"])

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(delete, range(times)))
