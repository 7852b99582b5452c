"""A folder that is deleted takes everything with it, whoever else is at work in it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.journeys.audit import audit, events_in
from tests.journeys.client import Client, talking
from tests.journeys.server import Server, until


@pytest.mark.slow
def test_nothing_outlives_a_folder_that_is_deleted_while_others_put_things_into_it(
    server: Server, client: Client, data_dir: Path
) -> None:
    folder = client.folder()["id"]
    with ThreadPoolExecutor(6) as threads:
        putters = [threads.submit(put_until_refused, server.port, folder) for _ in range(6)]
        until(lambda: len(events_in(data_dir)) > 300, "the folder fills")
        reply = client.delete(f"/api/assets/{folder}")
        put = {asset_id for putter in putters for asset_id in putter.result()}

    assert reply.status == 200
    assert set(reply.json["deleted_asset_ids"]) == {folder, *put}
    assert client.assets() == []
    audit(data_dir)


def put_until_refused(port: int, folder: str) -> list[str]:
    """Put something into a folder, and a folder with something in it, until it is no more."""
    put: list[str] = []
    with talking(port) as client:
        while True:
            place = folder
            for content_type in ("folder", "text/plain"):
                fields = {"name": "a", "content_type": content_type, "parent_id": place}
                reply = client.upload(None, **fields)
                if reply.status != 201:
                    assert (reply.status, reply.slug) == (422, "bad-field"), reply.body
                    return put
                place = reply.json["id"]
                put.append(place)


@pytest.mark.slow
def test_those_who_delete_one_thing_at_one_moment_delete_it_once(
    server: Server, client: Client, data_dir: Path
) -> None:
    for _ in range(10):
        asset = client.created()["id"]
        deleted = delete_together(server, asset, times=6)
        assert sorted(deleted) == [[]] * 5 + [[asset]]
    audit(data_dir)


@pytest.mark.slow
def test_those_who_delete_one_folder_at_one_moment_share_the_work(
    server: Server, client: Client, data_dir: Path
) -> None:
    folder = client.folder()["id"]
    inside = [client.created(parent_id=folder)["id"] for _ in range(600)]

    deleted = delete_together(server, folder, times=4)

    assert sorted(asset_id for ids in deleted for asset_id in ids) == sorted([folder, *inside])
    assert client.assets() == []
    audit(data_dir)


def delete_together(server: Server, asset_id: str, times: int) -> list[list[str]]:
    """What each of several deletions at the same moment says that it deleted."""
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
