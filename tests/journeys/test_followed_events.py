"""An iterator of events in Python goes on over restarts and kills of its server."""

import asyncio
import signal
from contextlib import aclosing
from pathlib import Path
from threading import Thread

import pytest

from asset_ledger import connect, events, sync
from tests.journeys.client import talking
from tests.journeys.server import PATIENCE, Server

pytestmark = pytest.mark.slow

ROUNDS = [signal.SIGTERM, signal.SIGKILL]
EACH = 5


def restarts(server: Server) -> list[str]:
    """Stop a server twice, and record assets before each stop; return their ids."""
    recorded = []
    for number in ROUNDS:
        with talking(server.port) as client:
            recorded += [client.created()["id"] for _ in range(EACH)]
        server.stop(number)
        server.start()
    with talking(server.port) as client:
        return [*recorded, client.created()["id"]]


@pytest.fixture
def server(tmp_path: Path, unused_tcp_port: int) -> Server:
    """Return a server that has the same address after each start."""
    return Server(tmp_path / "data", "--port", str(unused_tcp_port))


async def test_an_async_iterator_yields_every_event_once_over_restarts(server: Server) -> None:
    server.start()
    try:
        async with asyncio.timeout(3 * PATIENCE), connect(server.url):
            recording = asyncio.create_task(asyncio.to_thread(restarts, server))
            seen: list[str | None] = []
            async with aclosing(events(after=0, topic="asset.created")) as found:
                async for event in found:
                    seen.append(event.asset_id)
                    if len(seen) == len(ROUNDS) * EACH + 1:
                        break
            assert seen == await recording
    finally:
        server.close()


def test_a_sync_iterator_yields_every_event_once_over_restarts(server: Server) -> None:
    server.start()
    recorded: list[str] = []
    try:
        with sync.connect(server.url):
            thread = Thread(target=lambda: recorded.extend(restarts(server)))
            thread.start()
            found = sync.events(after=0, topic="asset.created")
            seen = [next(found).asset_id for _ in range(len(ROUNDS) * EACH + 1)]
            thread.join()
            assert seen == recorded
    finally:
        server.close()
