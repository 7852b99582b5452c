"""Rebuilds under load, with kills of the rebuilding process and of the server."""

import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from asset_ledger.ledger.storage.folder_lock import hold_build_lock
from asset_ledger.projections.rebuild.build import LONG
from benchmarks.fill import fill
from tests.journeys.audit import audit, current_tables, state_of, tables_digest
from tests.journeys.client import BROKEN, Client, talking
from tests.journeys.load import Load, under_load
from tests.journeys.processes import children_of, command_of
from tests.journeys.server import PATIENCE, Server, run, serving, until
from tests.journeys.test_kills import check_acknowledged

READS = (
    "/api/assets?sort=-created_at&page_size=20",
    "/api/assets?job_id=j&page_size=20",
    "/api/assets/usage?group_by=node_id",
    "/api/assets/search?query=1",
    "/api/jobs",
)


@pytest.mark.slow
def test_five_kills_during_rebuilds_under_load_lose_no_acknowledged_upload(data_dir: Path) -> None:
    rebuild_many_times(data_dir, kills=5)


@pytest.mark.chaos
def test_twenty_kills_during_rebuilds_under_load_lose_no_acknowledged_upload(
    data_dir: Path,
) -> None:
    rebuild_many_times(data_dir, kills=20)


def rebuild_many_times(data_dir: Path, kills: int) -> None:
    load = Load()
    with serving(data_dir) as server:
        for number in range(kills):
            with under_load(server.port, load, seed=number), reading(server):
                rebuild_until_a_random_moment(server, load, random.Random(number))
            server.start()
            check_listed(server, load)
            check_leftovers(data_dir)
        with under_load(server.port, load, seed=kills), reading(server):
            rebuild_to_the_end(server, load)
            server.kill()
        server.start()
        check_acknowledged(server, load)
        assert server.stop() == 0
        assert re.findall("Traceback|rebuilding the tables", server.errors) == []
    check_against_a_build_from_scratch(data_dir)


def rebuild_until_a_random_moment(server: Server, load: Load, dice: random.Random) -> None:
    """Start rebuilds, kill some of their processes, and then kill the server."""
    load.wait_for_answers(dice.randrange(20, 60))
    with talking(server.port) as client:
        for _ in range(dice.randrange(1, 3)):
            assert client.call("POST", "/api/projections/rebuild").status == 202
            time.sleep(dice.uniform(0, 1.5))
            if dice.random() < 0.4:
                kill_rebuild_workers(server)
                wait_for_rebuild(client)
    server.kill()


def rebuild_to_the_end(server: Server, load: Load) -> None:
    """Run two rebuilds and a rollback to their ends."""
    with talking(server.port) as client:
        for path in ("rebuild", "rollback", "rebuild"):
            assert client.call("POST", f"/api/projections/{path}").status == 202
            last = wait_for_rebuild(client)
            assert (last["result"], last["error"]) == ("switched", None)
            assert last["differences"] == (None if path == "rollback" else 0)
            load.wait_for_answers(1)


def wait_for_rebuild(client: Client) -> Any:
    """Wait for the end of the running rebuild, and return its result."""
    until(lambda: status(client)["building"] is None, "the rebuild has ended")
    return status(client)["last"]


def status(client: Client) -> Any:
    return client.get("/api/projections").json


def kill_rebuild_workers(server: Server) -> None:
    """Kill every rebuild process of the server with SIGKILL."""
    for pid in rebuild_workers(server):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def rebuild_workers(server: Server) -> list[int]:
    """Return the pids of the server's rebuild processes."""
    return [pid for pid in children_of(server.pid) if b"rebuild_worker" in command_of(pid)]


def second_workers(server: Server) -> list[int]:
    """Return the pids of the processes that build parts of a long log for a rebuild process."""
    return [pid for first in rebuild_workers(server) for pid in children_of(first)]


def all_ended(pids: list[int]) -> bool:
    return not any(map(command_of, pids))


@contextmanager
def reading(server: Server) -> Iterator[None]:
    """Read while the block runs, until the server is gone. No read may fail."""
    with ThreadPoolExecutor(1) as threads:
        reader = threads.submit(read_until_broken, server.port)
        yield
        assert reader.result() > 0


def read_until_broken(port: int) -> int:
    """Read, and return the number of answers. Positions never decrease, and cursors stay valid."""
    answers, seen, cursor = 0, 0, ""
    with talking(port) as client, suppress(*BROKEN):
        while True:
            for path in READS:
                reply = client.get(path)
                assert reply.status == 200, reply.body
                answers += 1
            page = client.get(f"/api/assets?page_size=7&cursor={cursor}")
            assert page.status == 200, page.body
            position, cursor = int(page.headers["Ledger-Position"]), page.json["next"]
            assert position >= seen
            seen = position
            assert client.get(f"/api/assets?page_size=1&min_position={seen}").status == 200
    return answers


def check_listed(server: Server, load: Load) -> None:
    """Check that every acknowledged asset is in the list, equal to its answer."""
    with talking(server.port) as client:
        listed = {asset["id"]: asset for asset in client.assets()}
    for asset_id, (_, answered) in load.acknowledged.items():
        assert listed[asset_id] == answered


def check_leftovers(data_dir: Path) -> None:
    """Check that only complete generations are left: the current one, and the one before it."""
    current = current_tables(data_dir)
    files = list(data_dir.glob("projections.g*"))
    generations = {int(re.findall(r"\d+", path.name)[0]) for path in files}
    states = {path.name: state_of(path) for path in files if path.suffix == ".db"}
    assert max(generations) == int(re.findall(r"\d+", current.name)[0]), states
    assert len(generations) <= 2, states


def check_against_a_build_from_scratch(data_dir: Path) -> None:
    """Check the current tables against a dry run, and against a rebuild without any tables."""
    audit(data_dir)
    live = tables_digest(current_tables(data_dir))
    done = run("rebuild", "--dry-run", "--json", "--data-dir", data_dir)
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert (report["digest"], report["differences"]) == (live, 0)
    for path in data_dir.glob("projections.g*"):
        path.unlink()
    scratch = run("rebuild", "--json", "--data-dir", data_dir)
    assert json.loads(scratch.stdout)["digest"] == live


@pytest.mark.slow
def test_the_rebuild_command_fails_with_one_line_when_its_server_is_killed(
    server: Server, client: Client, data_dir: Path
) -> None:
    client.created(job_id="j")
    until(lambda: client.get("/readyz").status == 200, "the server is ready")
    with ThreadPoolExecutor(1) as threads, hold_build_lock(data_dir):  # delays the rebuild
        command = threads.submit(run, "rebuild", "--url", server.url)
        until(lambda: status(client)["building"] is not None, "the rebuild has begun")
        server.kill()
        refused = command.result()

    assert refused.returncode == 2
    assert refused.stderr.startswith("asset-ledger: ")
    server.start()
    check_leftovers(data_dir)


@pytest.mark.slow
def test_cancel_ends_a_rebuild_whose_process_is_stopped(
    server: Server, client: Client, data_dir: Path
) -> None:
    client.created(job_id="j")
    with hold_build_lock(data_dir):  # delays the rebuild
        assert client.call("POST", "/api/projections/rebuild").status == 202
        until(lambda: len(rebuild_workers(server)) == 1, "the rebuild process runs")
        (stopped,) = rebuild_workers(server)
        os.kill(stopped, signal.SIGSTOP)

    building = status(client)["building"]
    cancelled = run("rebuild", "--cancel", "--url", server.url)
    client.created(job_id="j")
    again = run("rebuild", "--url", server.url)

    assert building is not None
    assert (cancelled.returncode, again.returncode) == (0, 0), cancelled.stderr + again.stderr
    assert not Path(f"/proc/{stopped}").exists()
    assert status(client)["last"]["result"] == "switched"
    check_leftovers(data_dir)


@pytest.mark.slow
def test_a_long_log_is_rebuilt_by_two_processes_that_end_together(tmp_path: Path) -> None:
    data_dir = tmp_path / "long"
    with Progress(disable=True) as progress:
        fill(data_dir, LONG + 10_000, progress)
    with serving(data_dir) as server, talking(server.port) as client:
        until(lambda: client.get("/readyz").status == 200, "the tables are made", 4 * PATIENCE)
        for killed in (rebuild_workers, second_workers):
            assert client.call("POST", "/api/projections/rebuild").status == 202
            until(lambda: len(second_workers(server)) == 1, "two processes run")
            pids = [*rebuild_workers(server), *second_workers(server)]
            os.kill(killed(server)[0], signal.SIGKILL)
            assert "process died" in wait_for_rebuild(client)["error"]
            until(partial(all_ended, pids), "both have ended")
        client.created(job_id="j")
        assert client.call("POST", "/api/projections/rebuild").status == 202

        last = wait_for_rebuild(client)

        assert (last["result"], last["error"], last["differences"]) == ("switched", None, 0)
        assert server.stop() == 0
    made = run("rebuild", "--dry-run", "--json", "--data-dir", data_dir)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["digest"] == last["digest"]
