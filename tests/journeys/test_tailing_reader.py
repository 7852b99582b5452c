"""Readers that follow the log while eight clients write see every event once."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.journeys.audit import StoredEvent, audit, events_of, reading
from tests.journeys.client import Client, talking
from tests.journeys.server import Server

WRITERS = 8
EACH = 60


@pytest.mark.slow
def test_readers_of_the_log_file_and_of_a_job_history_see_every_event_once(
    server: Server, data_dir: Path
) -> None:
    written = threading.Event()
    with ThreadPoolExecutor(WRITERS + 2) as threads:
        tail = threads.submit(lambda: list(tailed(data_dir, written)))
        histories = threads.submit(lambda: list(read_histories(server, written)))
        writers = [threads.submit(write, server.port, number) for number in range(WRITERS)]
        acknowledged = {asset_id for writer in writers for asset_id in writer.result()}
        written.set()

    events = audit(data_dir)
    assert tail.result() == events
    assert {event.stream for event in events[1:]} == acknowledged
    assert len(events) == 1 + WRITERS * EACH + WRITERS * EACH // 3
    for seqs in histories.result():
        assert seqs == list(range(1, len(seqs) + 1))
    assert len(histories.result()[-1]) == len(events) - 1


def write(port: int, number: int) -> set[str]:
    """Create assets of one job, and delete every third of them. Returns all ids."""
    ids = set()
    with talking(port) as client:
        for turn in range(EACH):
            asset = client.created(bytes(turn), job_id="j", node_id=f"n{number}")
            ids.add(asset["id"])
            if turn % 3 == 0:
                assert client.delete(f"/api/assets/{asset['id']}").status == 200
    return ids


def tailed(data_dir: Path, written: threading.Event) -> Iterator[StoredEvent]:
    """Yield every event of the log file, read from the last position on until all are written."""
    after, more = 0, True
    with reading(data_dir / "ledger.db") as db:
        while more:
            more = not written.is_set()  # before the read, so that the last read sees all
            for event in events_of(db, after):
                assert event.position == after + 1
                after = event.position
                yield event


def read_histories(server: Server, written: threading.Event) -> Iterator[list[int]]:
    """Yield the `job_seq` numbers of the whole history, read many times."""
    more = True
    with talking(server.port) as client:
        while more:
            more = not written.is_set()
            yield history_in_pages(client)


def history_in_pages(client: Client) -> list[int]:
    seqs: list[int] = []
    cursor = ""
    while True:
        reply = client.get(f"/api/jobs/j/history?page_size=50&cursor={cursor}")
        if reply.status == 404:  # no event yet
            return []
        page = json.loads(reply.body)
        seqs += [event["job_seq"] for event in page["events"]]
        cursor = page["next"]
        if not cursor:
            return seqs
