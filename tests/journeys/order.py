"""The order of a ledger in PostgreSQL, as its database has it and as a reader over HTTP sees it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from tests.journeys.client import BROKEN, talking

_COUNTS: Final = """SELECT count(*), max(notification_id),
        count(*) FILTER (WHERE topic = 'asset.created'),
        (SELECT count(*) FROM g1.assets), (SELECT min(position) FROM g1.positions)
    FROM ledger.stored_events"""


class Order(NamedTuple):
    """The last position, and the number of assets."""

    head: int
    assets: int


def dense_order(url: str) -> Order:
    """Check that positions have no gap and that each asset has its row."""
    import psycopg  # noqa: PLC0415 - an optional extra

    with psycopg.connect(url) as db:
        found = db.execute(_COUNTS).fetchone()
    assert found is not None
    events, head, created, rows, filled = found
    assert (events, rows, filled) == (head, created, head)
    return Order(head, created)


@contextmanager
def tailing(port: int) -> Iterator[list[int]]:
    """Read the log as it grows, each page over a new connection, so that another process answers.

    Yield the positions that were read so far.
    """
    seen, ended = list[int](), threading.Event()

    def read() -> None:
        while not ended.is_set():
            with suppress(*BROKEN), talking(port) as client:
                reply = client.get(f"/api/events?all=true&after={seen[-1] if seen else 0}")
                assert reply.status == 200, reply.body
                seen.extend(event["position"] for event in reply.json["events"])

    with ThreadPoolExecutor(1) as threads:
        reader = threads.submit(read)
        try:
            yield seen
        finally:
            ended.set()
        reader.result()
