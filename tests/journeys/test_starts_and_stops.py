"""Starts and stops of a server: signals, locks, ports, damaged files and kills."""

import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from tests.journeys.audit import audit, events_in
from tests.journeys.client import BROKEN, Client, raw_connection, read_reply, request_head, talking
from tests.journeys.server import PATIENCE, Server, program, run, serving, until

pytestmark = pytest.mark.slow

STOPS = [signal.SIGINT, signal.SIGTERM]


def test_a_stopped_server_exits_with_0_and_leaves_no_wal_files(
    server: Server, client: Client, data_dir: Path
) -> None:
    client.created()

    assert server.stop(signal.SIGINT) == 0

    assert server.errors == ""
    left = {path.name for path in data_dir.rglob("*.db*")}
    projections = {
        f"projections.g1{projection}.db" for projection in ("", ".catalog", ".search", ".usage")
    }
    assert left - {"scrub.db"} == {"ledger.db", "sessions.db", *projections}
    audit(data_dir)


@pytest.mark.parametrize("number", STOPS)
def test_a_stop_finishes_running_uploads_and_accepts_no_new_connection(
    server: Server, data_dir: Path, number: signal.Signals
) -> None:
    body = bytes(300_000)
    with raw_connection(server.port) as connection:
        connection.sendall(request_head({"Content-Length": "300000"}, "/api/assets?name=a.bin"))
        connection.sendall(body[:200_000])
        until(
            lambda: any((data_dir / "content" / "tmp").iterdir()),
            "the upload is in a temporary file",
        )
        server.send_signal(number)
        until(lambda: not listens(server.port), "the server has closed its port")
        connection.sendall(body[200_000:])
        assert read_reply(connection).status == 201

    assert server.wait() == 0
    assert len(audit(data_dir)) == 2


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
    except OSError:
        return False
    return True


def test_a_stop_under_load_answers_every_recorded_upload(server: Server, data_dir: Path) -> None:
    """A stop may close an idle connection, but no connection with a running request."""

    def upload(number: int) -> list[str]:
        answered = []
        with talking(server.port) as client:
            try:
                while True:
                    answered.append(client.created(bytes(number), name=f"{number}")["id"])
            except BROKEN:
                return answered

    with ThreadPoolExecutor(8) as threads:
        uploads = [threads.submit(upload, number) for number in range(8)]
        until(lambda: len(events_in(data_dir)) > 200, "uploads are running")
        assert server.stop() == 0
        answered = {asset_id for upload in uploads for asset_id in upload.result()}

    assert answered == {event.stream for event in audit(data_dir)[1:]}
    assert server.errors == ""


def test_a_stop_beside_slow_searches_ends_within_their_deadline(data_dir: Path) -> None:
    limited = serving(data_dir, "--read-deadline", "3")
    with limited as server, talking(server.port) as client:
        for number in range(300):
            client.created(None, name=f"{number}", metadata={"text": "a" * 31_000})
        until(lambda: not lags(client), "the search index has every asset")
        assert client.get(SLOW).slug == "deadline-exceeded"
        with ThreadPoolExecutor(8) as threads:
            searches = [threads.submit(get_or_break, server.port, SLOW) for _ in range(8)]
            until(lambda: connections(client) > 8, "the searches are under way")
            began = time.monotonic()
            assert server.stop() == 0
            took = time.monotonic() - began
            answered = {search.result() for search in searches}

    assert took < 3 + 5
    assert answered <= {503, None}


SLOW = "/api/assets/search?page_size=1000&query=" + "+".join(["a" * 128] * 3)


def lags(client: Client) -> bool:
    return any(part.get("lag") for part in client.get("/readyz").json["parts"])


def connections(client: Client) -> int:
    text = client.get("/metrics").body.decode()
    (line,) = [line for line in text.splitlines() if line.startswith("asset_ledger_connections ")]
    return int(float(line.split()[1]))


def get_or_break(port: int, path: str) -> int | None:
    """Return the status of an answer; None if the server closed the connection before it."""
    with talking(port) as client, suppress(*BROKEN):
        return client.get(path).status
    return None


def test_a_second_server_is_refused_with_the_pid_and_address_of_the_first(
    server: Server, client: Client, data_dir: Path
) -> None:
    second = run("serve", "--port", "0", "--data-dir", data_dir)

    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr.count("\n") == 1
    assert f"process {server.pid}," in second.stderr
    assert server.url in second.stderr
    assert client.created()["position"] == 2


def test_one_of_four_servers_started_together_on_a_folder_runs(data_dir: Path) -> None:
    with ExitStack() as stack:
        serve = ("serve", "--port", "0", "--data-dir", data_dir)
        servers = [stack.enter_context(program(*serve)) for _ in range(4)]
        lines = [server.stdout.readline() for server in servers if server.stdout]
        for server in servers:
            server.terminate()
        codes = [server.wait(PATIENCE) for server in servers]

    assert sorted(lines)[:3] == ["", "", ""]
    assert sorted(lines)[3].startswith("asset-ledger serves http://")
    assert sorted(codes) == [0, 2, 2, 2]
    audit(data_dir)


def test_a_server_starts_at_once_after_a_kill(server: Server) -> None:
    server.kill()

    server.start()

    with talking(server.port) as client:
        assert client.get("/health").body == b"OK"


Before = Callable[[Path], None]


def nothing(folder: Path) -> None:
    """Leave the folder absent, with its parent."""


def notes(folder: Path) -> None:
    folder.mkdir(0o700, parents=True)
    (folder / "notes.txt").write_text("mine")


def a_database_of_another_program(folder: Path) -> None:
    folder.mkdir(0o700, parents=True)
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        db.execute("CREATE TABLE mine (number)")


def a_broken_key(folder: Path) -> None:
    folder.mkdir(0o700, parents=True)
    (folder / "checkpoint.key").write_text("no key")


@pytest.mark.parametrize(
    ("before", "flags"),
    [
        (nothing, ["--port", "{used}"]),
        (nothing, ["--host", "no-such-host.invalid", "--auth", "tokens"]),
        (notes, ["--port", "{used}"]),
        (notes, ["--committer", "thread", "--port", "{used}"]),
        (a_database_of_another_program, []),
        (a_broken_key, []),
    ],
)
def test_a_refused_start_is_one_line_and_leaves_nothing_behind(
    server: Server, tmp_path: Path, before: Before, flags: list[str]
) -> None:
    folder = tmp_path / "new" / "data"
    before(folder)
    found = contents(tmp_path)

    flags = [flag.format(used=server.port) for flag in flags]
    refused = run("serve", *flags, "--data-dir", folder)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1, refused.stderr
    assert contents(tmp_path) == found


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in (*folder.glob("new"), *folder.glob("new/**/*"))
    }


def test_a_rebuild_and_a_replay_work_beside_a_server(
    server: Server, client: Client, data_dir: Path
) -> None:
    asset = client.created(job_id="job_456")

    rebuilt = run("rebuild", "--data-dir", data_dir)
    replayed = run("replay", "job_456", "--json", "--data-dir", data_dir)

    assert (rebuilt.returncode, rebuilt.stderr) == (0, "")
    assert rebuilt.stdout.startswith("generation 2 holds all 2 events; its digest is ")
    assert replayed.returncode == 0, replayed.stderr
    assert asset["id"] in replayed.stdout


def test_a_log_with_a_changed_last_event_is_refused_with_a_hint_at_a_backup(
    server: Server, client: Client, data_dir: Path
) -> None:
    client.created()
    assert server.stop() == 0
    path = data_dir / "ledger.db"
    content = path.read_bytes()
    assert content.count(b'"a.bin"') == 1
    path.write_bytes(content.replace(b'"a.bin"', b'"b.bin"'))

    refused = run("serve", "--port", "0", "--data-dir", data_dir)

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "backup" in refused.stderr


def test_a_killed_start_leaves_a_folder_for_the_next_start(data_dir: Path) -> None:
    """The first of these starts creates the folder."""
    server = Server(data_dir)
    for step in range(1, 11):
        server.launch()
        time.sleep(step / 10)  # another moment of the start for each step
        server.kill()

    with serving(data_dir) as server, talking(server.port) as client:
        client.created()
        assert "Traceback" not in server.errors
    audit(data_dir)
