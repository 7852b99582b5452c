"""The committer process under load: rebuilds beside it, kills and stops of it and its server."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.journeys.audit import audit, current_tables, packed, tables_digest
from tests.journeys.client import talking
from tests.journeys.load import MANY_CONNECTIONS, Load, under_load
from tests.journeys.processes import children_of, command_of
from tests.journeys.server import Server, run, serving, until
from tests.journeys.test_kills import check, upload_or_break
from tests.journeys.test_rebuilds import rebuild_to_the_end
from tests.journeys.write_lock import write_locked

pytestmark = pytest.mark.slow

WORKER = b"asset_ledger.api.workers.committer_worker"


def has_log_open(pid: int) -> bool:
    for opened in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            if opened.readlink().name == "ledger.db-wal":
                return True
    return False


def committer_of(server: Server) -> int:
    """Wait until the server has a committer process with the log open, and return its pid."""

    def committers() -> list[int]:
        pids = [pid for pid in children_of(server.pid) if WORKER in command_of(pid)]
        return [pid for pid in pids if has_log_open(pid)]

    until(lambda: len(committers()) == 1, "a committer process has the log open")
    (pid,) = committers()
    return pid


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def check_by_commands(data_dir: Path) -> None:
    """Check a folder with `verify`, and its tables against a rebuild of them."""
    done = run("verify", "--json", "--data-dir", data_dir)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["events"] == len(audit(data_dir))
    rebuilt = run("rebuild", "--dry-run", "--json", "--data-dir", data_dir)
    report = json.loads(rebuilt.stdout)
    assert (report["digest"], report["differences"]) == (
        tables_digest(current_tables(data_dir)),
        0,
    )


def test_rebuilds_and_a_rollback_switch_while_the_committer_writes(data_dir: Path) -> None:
    load = Load()
    with serving(data_dir) as server:
        with under_load(server.port, load, seed=1, connections=MANY_CONNECTIONS):
            load.wait_for_answers(40)
            rebuild_to_the_end(server, load)
            load.wait_for_answers(40)
            pid = committer_of(server)
            server.kill()
        server.start()
        assert not has_log_open(pid)
        check(server, load)
        assert server.stop() == 0
        assert "Traceback" not in server.errors
    check_by_commands(data_dir)


def test_three_kills_of_the_server_under_load_lose_no_acknowledged_upload(data_dir: Path) -> None:
    load = Load()
    with serving(data_dir) as server:
        for number in range(3):
            with under_load(server.port, load, seed=number, connections=MANY_CONNECTIONS):
                load.wait_for_answers(40)
                pid = committer_of(server)
                server.kill()
                server.start()  # returns after the old committer has finished its last group
                assert not has_log_open(pid)
            check(server, load)
        assert server.stop() == 0
        assert "Traceback" not in server.errors
    check_by_commands(data_dir)


def test_a_kill_of_the_committer_costs_each_client_one_retry_at_most(data_dir: Path) -> None:
    load = Load(retries_unknown=True)
    with serving(data_dir) as server:
        with under_load(server.port, load, seed=1, connections=MANY_CONNECTIONS):
            load.wait_for_answers(40)
            os.kill(committer_of(server), signal.SIGKILL)
            load.wait_for_answers(100)
            server.kill()
        server.start()
        check(server, load)
        assert server.stop() == 0
        assert "Traceback" not in server.errors
    audit(data_dir)


@pytest.mark.parametrize(
    ("number", "target"),
    [
        (signal.SIGTERM, "server"),
        (signal.SIGINT, "process group"),
        (signal.SIGTERM, "server and committer"),
    ],
)
def test_a_stop_under_load_answers_every_recorded_upload(
    data_dir: Path, number: signal.Signals, target: str
) -> None:
    load = Load()
    with serving(data_dir) as server:
        with under_load(server.port, load, seed=1, connections=MANY_CONNECTIONS):
            load.wait_for_answers(40)
            pid = committer_of(server)
            if target == "server and committer":  # as a service manager does
                os.kill(pid, number)
            if target == "process group":  # as a terminal does
                os.killpg(server.pid, number)
            else:
                server.send_signal(number)
        assert server.wait() == 0
        assert is_gone(pid)
        assert server.errors == ""
        events = audit(data_dir)
        assert {event.stream for event in events[1:]} == load.acknowledged.keys()
        server.start()  # fails if a lock is left
        check(server, load)
        assert server.stop() == 0


def test_a_kill_between_pack_and_event_leaves_bytes_without_a_place(
    server: Server, data_dir: Path
) -> None:
    pack = data_dir / "content" / "packs" / "00000001.pack"
    committer = committer_of(server)
    with ThreadPoolExecutor() as threads, write_locked(data_dir / "ledger.db"):
        upload = threads.submit(upload_or_break, server.port, b"small", "k")
        until(lambda: pack.exists() and pack.stat().st_size > 0, "the content is packed")
        os.kill(committer, signal.SIGKILL)  # it would commit what it has received
        server.kill()
        assert upload.result() is None
    with pack.open("ab") as file:
        file.write(b"ALC1 torn")

    server.start()

    assert (len(audit(data_dir)), list(packed(data_dir))) == (1, [])
    with talking(server.port) as client:
        reply = client.upload(b"small", "k", name="a.bin", job_id="j")
        assert (reply.status, reply.replayed) == (201, False)
        assert client.get(reply.json["get_url"]).body == b"small"
    assert [size for _, size in packed(data_dir)] == [5]
    audit(data_dir)


def readiness(server: Server) -> tuple[int, dict[str, object]]:
    with talking(server.port) as client:
        answer = client.get("/readyz")
    parts = answer.json["parts"]
    return answer.status, next(part for part in parts if part["name"] == "committer")


def test_a_stopped_committer_is_reported_replaced_and_loses_no_upload(data_dir: Path) -> None:
    load = Load(retries_unknown=True)
    with serving(data_dir, "--committer-silence", "8") as server:
        with under_load(server.port, load, seed=1, connections=MANY_CONNECTIONS):
            load.wait_for_answers(40)
            pid = committer_of(server)
            os.kill(pid, signal.SIGSTOP)
            until(lambda: readiness(server)[0] == 503, "the server is not ready")
            assert "silent for" in str(readiness(server)[1]["reason"])
            until(lambda: is_gone(pid), "the stopped committer was killed")
            load.wait_for_answers(100)
            assert readiness(server)[0] == 200
            server.kill()
        server.start()
        check(server, load)
        assert server.stop() == 0
    audit(data_dir)


def test_a_server_with_a_stopped_committer_ends_on_sigterm(data_dir: Path) -> None:
    with serving(data_dir, "--committer-silence", "5") as server:
        pid = committer_of(server)
        os.kill(pid, signal.SIGSTOP)
        assert server.stop() == 0
        assert is_gone(pid)
        server.start()


def test_a_start_says_that_it_waits_for_the_committer_of_a_killed_server(data_dir: Path) -> None:
    with serving(data_dir) as server:
        pid = committer_of(server)
        os.kill(pid, signal.SIGSTOP)
        server.kill()
        server.launch()
        waits = f"waiting for process {pid}, the committer of an earlier server, to end"
        until(lambda: waits in server.errors, "the start says what it waits for")
        os.kill(pid, signal.SIGKILL)
        until(lambda: is_gone(pid), "the committer is gone")
        assert server.stop() in (0, -signal.SIGTERM)
