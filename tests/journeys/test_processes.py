"""Several processes that serve one address: they are killed, the parent is stopped or killed."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.client import talking
from tests.journeys.load import Load, under_load
from tests.journeys.order import dense_order, tailing
from tests.journeys.processes import children_of, command_of
from tests.journeys.server import Server, run, serving, until
from tests.journeys.test_kills import check_acknowledged, send_again
from tests.postgres import Postgres

CHILD = b"asset_ledger.api.server_process"
COUNT = 4
WRITERS = 32
SHARED = ("--content-url", "/nowhere")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ((), "--processes: several need --database-url: a data folder has one"),
        (("--database-url", "postgresql://x"), "--processes: several need --content-url"),
        (("--processes", "0"), "--processes: Input should be greater than or equal to 1"),
    ],
)
def test_processes_that_could_not_share_a_ledger_are_refused_in_one_line(
    tmp_path: Path, flags: tuple[str, ...], reason: str
) -> None:
    done = run("serve", "--processes", "2", *flags, "--data-dir", tmp_path / "data")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """Yield the address of the database of that server."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="module")
def server(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server that runs at the begin of each test."""
    place = tmp_path_factory.mktemp("processes")
    flags = ("--processes", str(COUNT), "--content-url", str(place / "store"))
    with serving(place / "data", "--database-url", url, *flags) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.errors


def processes_of(server: Server) -> list[int]:
    """Return the processes that are ready to answer, in the order of their start."""
    found = [pid for pid in children_of(server.pid) if CHILD in command_of(pid)]
    return sorted(pid for pid in found if has_a_committer(pid))


def has_a_committer(pid: int) -> bool:
    return any(b"committer_worker" in command_of(child) for child in children_of(pid))


@pytest.mark.slow
def test_four_processes_with_32_writers_keep_one_order_and_lose_no_upload_when_killed(
    server: Server, url: str
) -> None:
    until(lambda: len(processes_of(server)) == COUNT, "every process runs")
    load = Load(retries_unknown=True)
    before = processes_of(server)
    with tailing(server.port) as seen:
        with under_load(server.port, load, seed=1, connections=WRITERS):
            load.wait_for_answers(10 * WRITERS)
            for pid in before:  # so that each connection breaks, and its uploader ends
                os.kill(pid, signal.SIGKILL)
        until(lambda: len(processes_of(server)) == COUNT, "every process was replaced")
        assert not {*before} & {*processes_of(server)}
        check_acknowledged(server, load)
        send_again(server, load)
        head = dense_order(url).head
        until(lambda: len(seen) >= head, "the reader has every event")
    assert seen == [*range(1, head + 1)]
    assert server.errors.count("it ended with code -9; another one starts in") == COUNT

    verified = run("verify", "--database-url", url, "--data-dir", server.data_dir)
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout


@pytest.mark.slow
def test_a_stop_ends_every_process_and_answers_each_upload(server: Server) -> None:
    until(lambda: len(processes_of(server)) == COUNT, "every process runs")
    pids, load = processes_of(server), Load()
    with under_load(server.port, load, seed=9):
        load.wait_for_answers(30)
        server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []

    server.start()
    check_acknowledged(server, load)


@pytest.mark.slow
def test_processes_end_when_their_parent_is_killed(server: Server) -> None:
    until(lambda: len(processes_of(server)) == COUNT, "every process runs")
    pids = processes_of(server)

    server.kill()

    until(lambda: not any(CHILD in command_of(pid) for pid in pids), "every process has ended")
    server.start()
    with talking(server.port) as client:
        client.created()


@pytest.mark.slow
def test_commands_of_the_owner_are_admitted_by_every_process(server: Server) -> None:
    for number in range(2 * COUNT):
        made = run("token", "create", "--name", f"t{number}", "--data-dir", server.data_dir)
        assert (made.returncode, made.stderr) == (0, "")

    listed = run("token", "list", "--json", "--data-dir", server.data_dir)
    assert len(re.findall(r'"name": ?"t\d"', listed.stdout)) == 2 * COUNT


@pytest.mark.slow
def test_a_start_without_its_database_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    nowhere = f"postgresql:///none?host={tmp_path}"
    flags = ("--database-url", nowhere, "--content-url", str(tmp_path / "store"))

    done = run("serve", "--processes", "2", "--port", "0", *flags, "--data-dir", tmp_path / "data")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "the database cannot be used" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_a_stopping_server_is_not_ready_and_answers_until_its_delay_ends(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--stop-delay", "3600") as server:
        with talking(server.port) as client:
            assert client.get("/readyz").status == 200
            server.send_signal(signal.SIGTERM)
            until(lambda: readiness(server.port) == (503, "the server is stopping"), "it says so")
            client.created(name="late")
        server.send_signal(signal.SIGTERM)  # ends the delay

        assert server.wait() == 0
        assert server.errors == ""


def readiness(port: int) -> tuple[int, str | None]:
    with talking(port) as client:
        reply = client.get("/readyz")
        reasons = [part["reason"] for part in reply.json["parts"] if not part["ok"]]
        assert reply.headers.get("Connection") == ("close" if reasons else None)
        return reply.status, reasons[0] if reasons else None
