"""Failures of the database under load: what was acknowledged is there, and nothing is there twice.

Each client repeats a request with its key until it is acknowledged, as the SDK does.
"""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.journeys.client import BROKEN, Client, Reply, talking
from tests.journeys.cutting import CuttingProxy
from tests.journeys.order import dense_order
from tests.journeys.server import BACK, PATIENCE, Server, run, serving, until
from tests.postgres import Postgres, installed, replicated

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
pytestmark = pytest.mark.slow

KNOWN = {"storage-failed", "outcome-unknown", "busy", "disk-full"}
"""The problems of writes while the database fails."""

IN_TIME = 20.0
"""Seconds until the answer to a request at a database that stands still: it takes 8 to find out,
and 5 to connect again."""

UNCONFIRMED = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'"
CANCEL = f"""SELECT pg_cancel_backend(pid) FROM pg_locks JOIN ({UNCONFIRMED}) AS waiting USING (pid)
    WHERE locktype = 'advisory' AND granted AND objid = 1819045735"""
"""Ends the wait of the COMMIT with the log's lock."""


class Uploading:
    """Uploads of several clients that run until the block ends."""

    def __init__(self, server: Server, seed: str) -> None:
        self._server, self._seed = server, seed
        self._stops = threading.Event()
        self.ids: dict[str, str] = {}
        self.refused: set[str] = set()
        self.longest = 0.0
        """Seconds from the first attempt of an upload until it was acknowledged."""

    @contextmanager
    def by(self, clients: int) -> Iterator["Uploading"]:
        with ThreadPoolExecutor(clients) as threads:
            running = [threads.submit(self._upload, number) for number in range(clients)]
            try:
                yield self
            finally:
                self._stops.set()
            for each in running:
                each.result()

    def wait_for(self, count: int) -> None:
        """Wait for further acknowledged uploads."""
        target = len(self.ids) + count
        until(lambda: len(self.ids) >= target, "uploads are acknowledged")

    def _upload(self, client_number: int) -> None:
        number = 0
        while not self._stops.is_set():
            number += 1
            name = f"{self._seed} {client_number} {number}"
            began = time.monotonic()
            self.ids[name] = self._acknowledged(name)
            self.longest = max(self.longest, time.monotonic() - began)

    def _acknowledged(self, name: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with talking(self._server.port) as client:
                    reply = client.upload(name.encode() * 99, f"key {name}", name=name)
            except BROKEN:
                continue
            if reply.status in (201, 202):
                return str(reply.json["id"])
            assert reply.status in (503, 507), reply.body
            self.refused.add(reply.slug)
        raise AssertionError(f"{name} was refused for too long")


def check(server: Server, uploading: Uploading, url: str) -> None:
    """Check that each upload was acknowledged in time, and is recorded once, with bytes and row."""
    assert uploading.refused <= KNOWN
    assert uploading.longest < BACK
    with talking(server.port) as client:
        listed = {asset["id"]: asset["name"] for asset in client.assets()}
        assert listed == {asset_id: name for name, asset_id in uploading.ids.items()}
        for name, asset_id in [*uploading.ids.items()][::20]:
            assert client.get(f"/api/assets/{asset_id}/content").body == name.encode() * 99
    assert dense_order(url).assets == len(uploading.ids)


def test_a_promoted_standby_has_what_was_acknowledged(tmp_path: Path) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="pg-") as place,
        replicated_at(Path(place)) as (primary, standby, url),
        serving(tmp_path / "data", "--database-url", url) as server,
    ):
        early = acknowledged_by_a_late_standby(server, standby, url)
        with Uploading(server, "failover").by(8) as uploading:
            uploading.ids["early"] = early
            uploading.wait_for(100)
            primary.kill()
            standby.promote()
            uploading.wait_for(100)
        check(server, uploading, url)
        assert server.stop() == 0
        assert "Traceback" not in server.errors


def test_a_primary_that_stands_still_is_refused_in_time_and_replaced_by_its_standby(
    tmp_path: Path,
) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="pg-") as place,
        replicated_at(Path(place)) as (primary, standby, url),
        serving(tmp_path / "data", "--database-url", f"{url}&connect_timeout=2") as server,
    ):
        with Uploading(server, "frozen").by(8) as uploading:
            uploading.wait_for(100)
            with primary.standing_still():
                reads_are_refused(server)
                until(lambda: bool(uploading.refused), "uploads are refused", IN_TIME)
            uploading.wait_for(100)
            with primary.standing_still():
                standby.promote()
                uploading.wait_for(100)
                primary.kill()
        check(server, uploading, url)
        assert server.stop() == 0
        assert "Traceback" not in server.errors


def reads_are_refused(server: Server) -> None:
    """Check that more reads than there are connections are all answered in time."""
    paths = ("/api/assets", "/api/events?after=0&limit=10") * 15
    with ThreadPoolExecutor(len(paths)) as threads:
        assert {*threads.map(partial(status, server), paths)} == {503}
    until(lambda: status(server, "/readyz") == 503, "it is not ready", IN_TIME)


def status(server: Server, path: str) -> int:
    """Return the status of a read that is answered in time."""
    with talking(server.port, IN_TIME) as client:
        return client.get(path).status


def committer_works(server: Server) -> bool:
    """Return whether the server is ready to write, as its readiness has it."""
    with talking(server.port) as client:
        parts = client.get("/readyz").json["parts"]
    return next(bool(part["ok"]) for part in parts if part["name"] == "committer")


def acknowledged_by_a_late_standby(server: Server, standby: Postgres, url: str) -> str:
    """Upload while the standby is away, and end the wait for it: PostgreSQL then takes the upload
    for committed. Check that it is acknowledged once the standby has it."""

    def upload() -> Reply:
        with talking(server.port) as client:
            return client.upload(b"early" * 99, name="early")

    standby.stop()
    with psycopg.connect(url, autocommit=True) as db, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(upload)
        (began,) = db.execute("SELECT clock_timestamp()").fetchone()
        until(lambda: bool(db.execute(CANCEL).fetchall()), "the wait was cancelled")

        def is_awaited() -> bool:
            return bool(db.execute(f"{UNCONFIRMED} AND backend_start > %s", (began,)).fetchall())

        until(lambda: answer.done() or is_awaited(), "a new connection waits for the standby")
        assert not answer.done()
        standby.start()
        reply = answer.result()
    assert reply.status == 201, reply.body
    return str(reply.json["id"])


@contextmanager
def replicated_at(place: Path) -> Iterator[tuple[Postgres, Postgres, str]]:
    place.chmod(0o755)
    with replicated(place) as servers:
        yield servers


def test_connections_cut_at_commit_and_dropped_packets_record_nothing_twice(
    postgres: Postgres, tmp_path: Path
) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="cut-") as place,
        postgres.database() as url,
        CuttingProxy(Path(place), url) as proxy,
        serving(tmp_path / "data", "--database-url", proxy.url) as server,
    ):
        with Uploading(server, "cut").by(4) as uploading:
            for _ in range(5):
                uploading.wait_for(10)
                cuts = proxy.cut_after_next_commit()
                until(cuts.is_set, "a connection was cut")
            uploading.wait_for(10)
            uploading.refused.clear()
            with proxy.dropping():
                until(lambda: bool(uploading.refused), "uploads are refused", IN_TIME)
                assert not committer_works(server)
            uploading.wait_for(10)
            with proxy.dropping_next_commit():
                reads_are_refused(server)
                until(lambda: "outcome-unknown" in uploading.refused, "the COMMIT", IN_TIME)
            uploading.wait_for(10)
        until(lambda: status(server, "/api/assets") == 200, "reads are answered", BACK)
        check(server, uploading, url)
        assert server.stop() == 0
        assert "Traceback" not in server.errors


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_of_the_database_refuses_writes_until_it_has_space(tmp_path: Path) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="pg-") as place,
        small_disk(Path(place)) as (postgres, ballast),
        postgres.database() as url,
        serving(tmp_path / "data", "--database-url", url) as server,
    ):
        with talking(server.port) as client:
            kept = client.created(b"before", name="before")
            fill(ballast)
            refused = full(client)
            assert (refused.status, refused.slug) == (507, "disk-full")
            assert client.get(f"/api/assets/{kept['id']}").status == 200

            ballast.unlink()
            again = partial(client.upload, b"x", "after", name="after")
            until(lambda: again().status == 201, "it writes again", BACK)
            assert client.get(kept["get_url"]).body == b"before"
        verified = run("verify", "--database-url", url, "--data-dir", server.data_dir)
        assert (verified.returncode, verified.stderr) == (0, "")
        assert server.stop() == 0


def fill(ballast: Path) -> None:
    """Write a file until its disk is full."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            continue


def full(client: Client) -> Reply:
    """Upload until a write is refused; return the refusal."""
    for number in range(1_000):
        reply = client.upload(os.urandom(60_000), name=f"{number}")
        if reply.status != 201:
            return reply
    raise AssertionError("the disk was never full")


@contextmanager
def small_disk(place: Path) -> Iterator[tuple[Postgres, Path]]:
    """Run a server whose tables are on a small disk, and whose log is not; yield a file there."""
    place.chmod(0o755)
    disk, binaries = place / "disk", installed()
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.decode().strip()}")
    try:
        shutil.chown(place, 65_534, 65_534)
        postgres = Postgres(disk, binaries, "--waldir", str(place / "wal"))
        postgres.start()
        yield postgres, disk / "ballast"
        postgres.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
