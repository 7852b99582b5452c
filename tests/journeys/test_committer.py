"""A server whose writes are in a process of its own: rebuilt, killed and stopped under load."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.journeys.audit import audit, current_tables, tables_digest
from tests.journeys.load import MANY, Load, under_load
from tests.journeys.processes import children_of, command_of
from tests.journeys.server import Server, run, serving, until
from tests.journeys.test_kills import check
from tests.journeys.test_rebuilds import rebuild_to_the_end

pytestmark = pytest.mark.slow


def writing_apart(server: Server) -> list[int]:
    """The process that writes for this server, once it has the folder's lock for that."""
    return [
        pid
        for pid in children_of(server.pid)
        if b"asset_ledger.api.workers.committer_worker" in command_of(pid)
    ]


def has_taken_over(pid: int) -> bool:
    """It has the log open: nobody else writes now."""
    for opened in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            if opened.readlink().name == "ledger.db-wal":
                return True
    return False


def until_apart(server: Server, load: Load, answers: int = 40) -> int:
    """The process that writes by now, after some answers that came from it."""

    def writes() -> bool:
        return any(map(has_taken_over, writing_apart(server)))

    until(writes, "a process of its own writes")
    (pid,) = writing_apart(server)
    while load.answers.acquire(blocking=False):
        pass  # those of before
    for _ in range(answers):
        assert load.answers.acquire(timeout=60)
    return pid


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_rebuilds_and_a_rollback_switch_while_a_process_of_its_own_writes(data_dir: Path) -> None:
    load = Load()
    with serving(data_dir) as server:
        with under_load(server.port, load, seed=1, connections=MANY):
            until_apart(server, load)
            rebuild_to_the_end(server, load)
            pid = until_apart(server, load)
            server.kill()
        server.start()
        assert not has_taken_over(pid)
        check(server, load)
        assert server.stop() == 0
        assert "Traceback" not in server.errors
    verify_agrees(data_dir)


def verify_agrees(data_dir: Path) -> None:
    """The command finds nothing wrong, and the digest that the tables have by themselves."""
    done = run("verify", "--json", "--data-dir", data_dir)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said[0]["events"] == len(audit(data_dir))
    rebuilt = run("rebuild", "--dry-run", "--json", "--data-dir", data_dir)
    told = json.loads(rebuilt.stdout)
    assert (told["digest"], told["differences"]) == (tables_digest(current_tables(data_dir)), 0)


def test_three_kills_of_a_server_whose_writes_are_apart_lose_nothing_acknowledged(
    data_dir: Path,
) -> None:
    load = Load()
    with serving(data_dir) as server:
        for number in range(3):
            with under_load(server.port, load, seed=number, connections=MANY):
                pid = until_apart(server, load)
                server.kill()
                server.start()  # at once: it waits for the other to finish its last group
                assert not has_taken_over(pid)
            check(server, load)
        assert server.stop() == 0
        assert "Traceback" not in server.errors
    verify_agrees(data_dir)


def test_kills_of_the_process_that_writes_cost_a_second_request_at_most(data_dir: Path) -> None:
    load = Load(patient=True)
    with serving(data_dir) as server:
        with under_load(server.port, load, seed=1, connections=MANY):
            os.kill(until_apart(server, load), signal.SIGKILL)
            for _ in range(100):
                assert load.answers.acquire(timeout=60)
            server.kill()
        server.start()
        check(server, load)
        assert server.stop() == 0
        assert "Traceback" not in server.errors
    audit(data_dir)


@pytest.mark.parametrize(
    ("number", "whom"),
    [
        (signal.SIGTERM, "the server"),
        (signal.SIGINT, "its whole group"),
        (signal.SIGTERM, "everybody"),
    ],
)
def test_a_stop_while_its_writes_are_apart_answers_what_it_records(
    data_dir: Path, number: signal.Signals, whom: str
) -> None:
    load = Load()
    with serving(data_dir) as server:
        with under_load(server.port, load, seed=1, connections=MANY):
            pid = until_apart(server, load)
            if whom == "everybody":  # as a service manager does
                os.kill(pid, number)
            if whom == "its whole group":  # as a terminal does
                os.killpg(server.pid, number)
            else:
                server.ask_to_stop(number)
        assert server.wait() == 0
        assert gone(pid)
        assert server.errors == ""
        events = audit(data_dir)
        assert {event.stream for event in events[1:]} == load.acknowledged.keys()
        server.start()  # no lock is left
        check(server, load)
        assert server.stop() == 0
