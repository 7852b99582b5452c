"""`import nodetool --watch`, while another process writes NodeTool's database."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.imports.nodetool import JOB_COLUMNS, NodeTool, asset_id
from tests.journeys.client import Client
from tests.journeys.server import Server, program, serving, until

pytestmark = pytest.mark.slow

WRITER = """
import sqlite3, sys, time
db, assets, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
db = sqlite3.connect(db, timeout=60)
db.execute("PRAGMA journal_mode=WAL")
for number in range(first, last):
    name, job = f"{number:032x}", f"job-{number // 5}"
    if number % 5 == 0:
        db.execute("INSERT INTO nodetool_jobs (id, user_id, status, started_at) VALUES"
                   " (?, '1', 'running', '2024-05-01T11:00:00Z')", [job])
    db.execute("INSERT INTO nodetool_assets (id, user_id, parent_id, name, content_type, job_id,"
               " created_at) VALUES (?, '1', '1', ?, 'image/png', ?, '2024-05-01T12:00:00Z')",
               [name, f"{number}.png", job])
    db.commit()
    with open(f"{assets}/{name}.png", "wb") as file:
        for part in range(3):
            file.write(b"%d" % number * 1_000)
            file.flush()
            time.sleep(0.01)
    if number % 5 == 4:
        db.execute("UPDATE nodetool_jobs SET status = 'completed', finished_at ="
                   " '2024-05-01T12:01:00Z' WHERE id = ?", [job])
        db.commit()
"""
"""Writes rows, then their files in pieces, five a job, as a NodeTool that runs jobs."""


@pytest.fixture
def server(data_dir: Path) -> Iterator[Server]:
    with serving(data_dir) as server:
        yield server


@pytest.fixture
def nodetool(tmp_path: Path) -> NodeTool:
    nodetool = NodeTool(tmp_path)
    nodetool.run(f"CREATE TABLE nodetool_jobs ({', '.join(JOB_COLUMNS)})")
    return nodetool


@contextmanager
def watching(nodetool: NodeTool, server: Server) -> Iterator["subprocess.Popen[str]"]:
    """Follow the database until the block ends, and kill what still runs then."""
    files: list[str | Path] = ["--db", nodetool.db, "--assets", nodetool.assets]
    with program("import", "nodetool", *files, "--watch", "--url", server.url) as watch:
        try:
            yield watch
        finally:
            watch.kill()


def write(nodetool: NodeTool, first: int, last: int) -> "subprocess.Popen[bytes]":
    places = [str(nodetool.db), str(nodetool.assets), str(first), str(last)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *places])


def listed(server: Server, path: str) -> list[Any]:
    with closing(Client(server.port)) as client:
        answer = client.get(f"{path}?page_size=1000").json
    return list(next(value for value in answer.values() if isinstance(value, list)))


def ended(server: Server) -> set[str]:
    jobs = listed(server, "/api/jobs")
    return {job["job_id"] for job in jobs if job["status"] == "completed"}


def test_assets_and_jobs_follow_over_kills_of_the_watch(nodetool: NodeTool, server: Server) -> None:
    with write(nodetool, 0, 30), watching(nodetool, server):
        until(lambda: bool(listed(server, "/api/assets")), "the first asset was recorded")
    with write(nodetool, 30, 60), watching(nodetool, server) as watch:
        until(lambda: len(ended(server)) == 12, "every job ended")
        assert watch.stderr is not None
        assert watch.stderr.readline() == "following NodeTool; Ctrl-C ends\n"
        watch.send_signal(signal.SIGTERM)
        assert watch.wait() == 0

    assets = {asset["id"]: asset for asset in listed(server, "/api/assets")}
    assert set(assets) == {asset_id(number) for number in range(60)}
    for number in range(60):  # no file was recorded before it was complete
        asset = assets[asset_id(number)]
        assert (asset["size"], asset["version"]) == (len(b"%d" % number) * 3_000, 1)
        assert asset["job_id"] == f"job-{number // 5}"
    with closing(Client(server.port)) as client:
        events = [event for job in ended(server) for event in client.history(job)]
    topics = [event["topic"] for event in events]
    assert (topics.count("job.started"), topics.count("job.finished")) == (12, 12)
    assert not any(event["late"] for event in events)


def test_watch_waits_for_a_lock_and_follows_a_replaced_database(
    nodetool: NodeTool, server: Server, tmp_path: Path
) -> None:
    nodetool.row(1, b"one")
    with (
        closing(sqlite3.connect(nodetool.db, isolation_level=None)) as holder,
        watching(nodetool, server) as watch,
    ):
        holder.execute("BEGIN EXCLUSIVE")
        assert watch.stderr is not None
        assert "database is locked" in watch.stderr.readline()
        holder.execute("ROLLBACK")
        until(lambda: ids(server) == {asset_id(1)}, "the asset was recorded")
        (tmp_path / "other").mkdir()
        other = NodeTool(tmp_path / "other")
        other.row(2, b"two")
        for path in (other.assets / "1").iterdir():
            path.rename(nodetool.assets / "1" / path.name)
        other.db.replace(nodetool.db)
        until(lambda: ids(server) == {asset_id(1), asset_id(2)}, "the other asset was recorded")
        watch.send_signal(signal.SIGINT)
        assert watch.wait() == 0


def ids(server: Server) -> set[str]:
    return {asset["id"] for asset in listed(server, "/api/assets")}
