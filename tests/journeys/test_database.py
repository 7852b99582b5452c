"""A server in PostgreSQL: kills under load lose no acknowledged upload, and record none twice."""

import importlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.journeys import load as load_module
from tests.journeys.client import talking
from tests.journeys.load import CONNECTIONS, Load, some_upload, under_load
from tests.journeys.order import dense_order
from tests.journeys.processes import children_of, command_of
from tests.journeys.server import BACK, PATIENCE, Server, run, serving, until
from tests.journeys.test_committer import WORKER
from tests.journeys.test_kills import check_acknowledged, kill_at_a_random_moment, send_again
from tests.postgres import Postgres

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")


@pytest.mark.slow
def test_kills_under_load_lose_no_acknowledged_upload(
    postgres: Postgres, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load()
    with postgres.database() as url, serving(data_dir, "--database-url", url) as server:
        for number in range(3):
            with under_load(server.port, load, seed=number, connections=CONNECTIONS):
                kill_at_a_random_moment(server, load, random.Random(number))
            server.start()
            check_acknowledged(server, load)
            send_again(server, load)
            dense_order(url)
        verified = run("verify", "--database-url", url, "--data-dir", data_dir)
        assert (verified.returncode, verified.stderr) == (0, "")
        assert verified.stdout.count("; digest ") == 2
        replayed = run("replay", "j", "--database-url", url, "--json")
        made = sum(upload.fields.get("job_id") == "j" for upload, _ in load.acknowledged.values())
        assert replayed.stdout.count('"topic":"asset.created"') >= made > 0
        check_tokens(server, url)
        assert server.stop() == 0
        assert "Traceback" not in server.errors


def check_tokens(server: Server, url: str) -> None:
    """Make and revoke a token beside the server, which sees both."""
    where = ("--database-url", url, "--data-dir", server.data_dir)
    text = run("token", "create", *where).stdout.strip()
    token_id = text.split("_")[1]
    with talking(server.port) as client:

        def revoked() -> list[bool]:
            found = client.get("/api/tokens").json["tokens"]
            return [bool(each["revoked_at"]) for each in found if each["id"] == token_id]

        until(lambda: revoked() == [False], "the server knows the token")
        run("token", "revoke", token_id, *where)
        until(lambda: revoked() == [True], "the server knows that it is revoked")


@pytest.fixture
def small_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upload contents that the database has: each server has its own folder for large ones."""
    monkeypatch.setattr(load_module, "SIZES", (0, 1, 4_096, 65_536))


@pytest.mark.slow
@pytest.mark.usefixtures("small_contents")
def test_two_servers_with_32_writers_keep_one_order_while_one_is_killed(
    postgres: Postgres, tmp_path: Path
) -> None:
    load, last = Load(), Load()
    with postgres.database() as url, two_servers(url, tmp_path) as (first, second):
        with tailing(url) as seen:
            with under_load(second.port, load, seed=1, connections=16):
                with under_load(first.port, load, seed=0, connections=16):
                    kill_at_a_random_moment(first, load, random.Random(1))
                first.start()
                with under_load(first.port, load, seed=2, connections=16):
                    load.wait_for_answers(100)
                    first.kill()
                second.kill()
            for server in (first, second):
                server.start()
                check_acknowledged(server, load)
            send_again(first, load)
            with talking(second.port) as client:
                upload = some_upload(random.Random(0), "last")
                last.acknowledge(upload, upload.send(client))
            head = dense_order(url).head
            until(lambda: len(seen) == head, "the reader has every event")
        assert seen == [*range(1, head + 1)]
        verified = run("verify", "--database-url", url, "--data-dir", first.data_dir)
        assert (verified.returncode, verified.stderr) == (0, "")
        for server in (first, second):
            assert server.stop() == 0
            assert "Traceback" not in server.errors


@contextmanager
def two_servers(url: str, place: Path) -> Iterator[tuple[Server, Server]]:
    flags = ("--database-url", url)
    with serving(place / "first", *flags) as first, serving(place / "second", *flags) as second:
        yield first, second


@contextmanager
def tailing(url: str) -> Iterator[list[int]]:
    """Read the log as it grows. Yield the positions that were read so far."""
    postgres_log = importlib.import_module("asset_ledger.ledger.log.postgres")
    seen, ended = list[int](), threading.Event()

    def read() -> None:
        with closing(postgres_log.PostgresLogReader(url)) as log:
            while not ended.is_set():
                seen.extend(each.id for each in log.read(seen[-1] if seen else 0, 100))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


HOLDS_THE_LOCK = """SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE locktype = 'advisory' AND granted AND objid = 1819045735"""


@pytest.mark.slow
@pytest.mark.usefixtures("small_contents")
def test_a_frozen_server_that_holds_the_lock_does_not_stop_the_others(
    postgres: Postgres, tmp_path: Path
) -> None:
    load, dice = Load(retries_unknown=True), random.Random(3)
    with postgres.database() as url, two_servers(url, tmp_path) as (first, second):
        with under_load(first.port, load, seed=0):
            load.wait_for_answers(10)
            (frozen,) = (pid for pid in children_of(first.pid) if WORKER in command_of(pid))
            freeze_with_the_lock(url, frozen)
            began = time.monotonic()
            with talking(second.port) as client:
                for number in range(5):
                    upload = replace(some_upload(dice, f"other {number}"), key=f"other {number}")
                    while (reply := upload.send(client)).status == 503:
                        continue
                    load.acknowledge(upload, reply)
            assert time.monotonic() - began < BACK
            os.kill(frozen, signal.SIGKILL)
            first.kill()
        check_acknowledged(second, load)
        send_again(second, load)


def freeze_with_the_lock(url: str, pid: int) -> None:
    """Stop a process while it holds the lock of the log, in a transaction."""
    deadline = time.monotonic() + PATIENCE
    with psycopg.connect(url, autocommit=True) as db:
        while True:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.05)  # another server may have it for a moment
            if db.execute(HOLDS_THE_LOCK).fetchone()[0]:
                return
            os.kill(pid, signal.SIGCONT)
            assert time.monotonic() < deadline, "it was never stopped with the lock"
            time.sleep(random.uniform(0, 0.1))


WAITS_FOR_THE_LOCK = """SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted AND objid = 1819045735"""


@pytest.mark.slow
def test_a_server_that_stands_still_at_its_start_keeps_no_other_from_starting(
    postgres: Postgres, tmp_path: Path
) -> None:
    with postgres.database() as url, two_servers(url, tmp_path) as (first, second):
        first.kill()
        second.kill()
        frozen = frozen_at_its_start(first, url)
        began = time.monotonic()
        second.start()
        assert time.monotonic() - began < BACK
        waited = "waiting for another server: asset-ledger, process "
        assert any(f"{waited}{pid} on" in second.errors for pid in frozen), second.errors
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        first.await_start()
        assert "Traceback" not in first.errors
        for server in (first, second):
            with talking(server.port) as client:
                client.created()
        assert dense_order(url).assets == 2


def frozen_at_its_start(server: Server, url: str) -> list[int]:
    """Start a server, and stop its processes while it has the lock of a start, and waits for that
    of the log, which this has."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SELECT pg_advisory_lock(x'616c6c6f67'::bigint)")
        server.launch()
        until(lambda: db.execute(WAITS_FOR_THE_LOCK).fetchone() == (1,), "its start waits")
        pids = [server.pid, *children_of(server.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
    return pids


@pytest.mark.slow
@pytest.mark.usefixtures("small_contents")
def test_uploads_continue_by_themselves_after_the_database_was_restarted(
    postgres: Postgres, tmp_path: Path
) -> None:
    load, ended = Load(), threading.Event()
    with postgres.database() as url, two_servers(url, tmp_path) as servers:
        with ThreadPoolExecutor(8) as threads:
            senders = [
                threads.submit(upload_through_refusals, servers[n % 2].port, load, str(n), ended)
                for n in range(8)
            ]
            try:
                for mode in ("immediate", "fast"):  # a crash, and an orderly restart
                    load.wait_for_answers(20)
                    postgres.stop(mode)
                    postgres.start()
                    load.wait_for_answers(20, within=BACK)
            finally:
                ended.set()
            for sender in senders:
                sender.result()
        assert dense_order(url).assets == len(load.acknowledged)
        for server in servers:
            check_acknowledged(server, load)
            assert server.stop() == 0
            assert "Traceback" not in server.errors
            assert "the ledger is in the database" in server.errors


def upload_through_refusals(port: int, load: Load, name: str, ended: threading.Event) -> None:
    """Upload until the event is set; send each upload again while the database is away."""
    dice = random.Random(name)
    with talking(port) as client:
        for number in count():
            if ended.is_set():
                return
            upload = replace(some_upload(dice, f"{name}.{number}"), key=f"{name}.{number}")
            while (reply := upload.send(client)).status == 503:
                assert reply.slug in ("storage-failed", "outcome-unknown", "busy"), reply.body
            load.acknowledge(upload, reply)
