"""How long a request keeps the event loop of a server from answering another client."""

import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.journeys.client import Reply, talking
from tests.journeys.server import Server

STALL: Final = 0.1
"""Seconds. The promise of the product; the best of three measurements counts."""


class Sent(NamedTuple):
    """A request to send; to the port of the API, unless another one is given."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int | None = None


def call(server: Server, sent: Sent) -> Reply:
    """Send a request and return the answer, which must be no failure of the server."""
    with talking(sent.port or server.port) as client:
        reply = client.call(sent.method, sent.path, sent.body, sent.headers)
    assert reply.status < 500, reply
    return reply


def stall(server: Server, sent: Sent) -> tuple[float, Reply]:
    """Send a request. Return the longest time of `/livez` meanwhile, in seconds, and the answer.

    The time in which the machine ran other programs instead of the two threads does not count.
    """
    replies = list[Reply]()
    sender = threading.Thread(target=lambda: replies.append(call(server, sent)))
    longest = 0.0
    with talking(server.port) as other:
        other.connection.connect()
        sender.start()
        while sender.is_alive():
            began = time.perf_counter() - queued(server.pid)
            other.get("/livez")
            longest = max(longest, time.perf_counter() - queued(server.pid) - began)
    sender.join()
    (reply,) = replies
    return longest, reply


def queued(pid: int) -> float:
    """Return how long this thread, and the main thread of a process, waited for a processor."""
    stats = ("/proc/thread-self/schedstat", f"/proc/{pid}/task/{pid}/schedstat")
    return sum(int(Path(each).read_text("ascii").split()[1]) for each in stats) / 1e9


def check_stalls(server: Server, name: str, requests: Iterable[Sent], *statuses: int) -> None:
    """Send requests until one delays no other client. `statuses`: the accepted ones, if any."""
    measured = list[float]()
    for sent in requests:
        seconds, reply = stall(server, sent)
        assert not statuses or reply.status in statuses, (name, reply)
        measured.append(seconds)
        if seconds < STALL:
            return
    raise AssertionError(f"{name}: the event loop stalled for {measured} seconds")
