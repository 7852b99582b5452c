"""A server without memory refuses requests, loses nothing, and serves again once it has some."""

import resource
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pytest

from tests.journeys.audit import audit
from tests.journeys.client import BROKEN, Client, talking
from tests.journeys.server import Server, serving, until

pytestmark = pytest.mark.slow

SPARE = 6 << 20
CLIENTS, UPLOADS = 24, 3
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Load:
    """Uploads of several clients, and what was acknowledged."""

    def __init__(self, server: Server) -> None:
        self._server, self._lock = server, Lock()
        self.statuses = Counter[int | str]()
        self.acknowledged = set[str]()

    def run(self) -> None:
        with ThreadPoolExecutor(CLIENTS) as threads:
            list(threads.map(self._upload, range(CLIENTS)))

    def _upload(self, client: int) -> None:
        for number in range(UPLOADS):
            status, name = "broken", f"{client} {number}"
            try:
                with talking(self._server.port) as connection:
                    reply = connection.upload(bytes([client, number]) * 400_000, name, name=name)
                    status = str(reply.status)
                    if reply.status == 503:
                        assert reply.slug in ("busy", "outcome-unknown", "storage-failed")
            except BROKEN:
                pass
            with self._lock:
                self.statuses[status] += 1
                if status == "201":
                    self.acknowledged.add(name)


def test_a_server_without_memory_refuses_uploads_and_loses_none(data_dir: Path) -> None:
    with serving(data_dir) as server:
        load = Load(server)
        limit = virtual_memory(server) + SPARE
        resource.prlimit(server.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        load.run()
        resource.prlimit(server.pid, resource.RLIMIT_AS, UNLIMITED)
        refused = {**load.statuses}
        load.run()
        with talking(server.port) as connection:  # the projections go on, too
            until(lambda: counted(connection) == CLIENTS * UPLOADS, "all are counted")
        assert server.stop() == 0, server.errors[-4_000:]
    assert {*refused} <= {"201", "503", "broken"}
    assert {*refused} - {"201"}, "the limit was not met"
    assert len(load.acknowledged) == CLIENTS * UPLOADS
    created = {event.fields["private"]["name"] for event in audit(data_dir)[1:]}
    assert created == load.acknowledged


def counted(connection: Client) -> int:
    """Return the assets in the usage totals, which a follower of the log makes."""
    usage = connection.get("/api/assets/usage?group_by=content_type").json["usage"]
    return sum(int(group["count"]) for group in usage)


def virtual_memory(server: Server) -> int:
    """Return the address space of a server in bytes (proc(5), statm)."""
    pages = int(Path(f"/proc/{server.pid}/statm").read_text("ascii").split()[0])
    return pages * resource.getpagesize()
