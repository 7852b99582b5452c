"""A server stops when asked, starts from whatever it finds, and shares its folder with no other."""

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys.audit import audit, events_in
from tests.journeys.client import BROKEN, Client, plugged, read_reply, request_head, talking
from tests.journeys.server import PATIENCE, Server, program, run, serving, until

pytestmark = pytest.mark.slow

STOPS = [signal.SIGINT, signal.SIGTERM]


def test_a_server_that_is_asked_to_stop_exits_with_zero_and_leaves_one_file_each(
    server: Server, client: Client, data_dir: Path
) -> None:
    client.created()

    assert server.stop(signal.SIGINT) == 0

    assert server.errors == ""
    left = {path.name for path in data_dir.rglob("*.db*")}
    projections = {
        f"projections.g1{projection}.db" for projection in ("", ".catalog", ".search", ".usage")
    }
    assert left == {"access.db", "ledger.db", "packed.db", *projections}  # no WAL is left
    audit(data_dir)


@pytest.mark.parametrize("number", STOPS)
def test_a_stop_lets_uploads_finish_and_takes_no_new_ones(
    server: Server, data_dir: Path, number: signal.Signals
) -> None:
    body = bytes(300_000)
    with plugged(server.port) as plug:
        plug.sendall(request_head({"Content-Length": "300000"}, "/api/assets?name=a.bin"))
        plug.sendall(body[:200_000])
        until(lambda: any((data_dir / "content" / "tmp").iterdir()), "a body is arriving")
        server.ask_to_stop(number)
        until(lambda: not listens(server.port), "nobody listens any more")
        plug.sendall(body[200_000:])
        assert read_reply(plug).status == 201

    assert server.wait() == 0
    assert len(audit(data_dir)) == 2


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
    except OSError:
        return False
    return True


def test_a_stop_under_load_answers_what_it_records(server: Server, data_dir: Path) -> None:
    """An idle connection may be closed on a client who is about to use it, but never half-way:
    whatever was recorded was also answered."""

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
        until(lambda: len(events_in(data_dir)) > 200, "uploads are under way")
        assert server.stop() == 0
        answered = {asset_id for upload in uploads for asset_id in upload.result()}

    assert answered == {event.stream for event in audit(data_dir)[1:]}
    assert server.errors == ""


def test_a_second_server_is_refused_and_told_who_holds_the_folder(
    server: Server, client: Client, data_dir: Path
) -> None:
    second = run("serve", "--port", "0", "--data-dir", data_dir)

    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr.count("\n") == 1
    assert f"process {server.pid}," in second.stderr
    assert server.url in second.stderr
    assert client.created()["position"] == 2


def test_of_servers_that_start_on_one_folder_at_one_moment_one_wins(data_dir: Path) -> None:
    with ExitStack() as stack:
        serve = ("serve", "--port", "0", "--data-dir", data_dir)
        servers = [stack.enter_context(program(*serve)) for _ in range(4)]
        said = [server.stdout.readline() for server in servers if server.stdout]
        for server in servers:
            server.terminate()
        codes = [server.wait(PATIENCE) for server in servers]

    assert sorted(said)[:3] == ["", "", ""]
    assert sorted(said)[3].startswith("asset-ledger serves http://")
    assert sorted(codes) == [0, 2, 2, 2]
    audit(data_dir)


def test_a_folder_is_free_as_soon_as_its_server_is_killed(server: Server) -> None:
    server.kill()

    server.start()

    with talking(server.port) as client:
        assert client.get("/health").body == b"OK"


def test_a_port_that_is_taken_is_one_line_and_no_traceback(server: Server, tmp_path: Path) -> None:
    refused = run("serve", "--port", str(server.port), "--data-dir", tmp_path / "other")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1


def test_a_rebuild_and_a_replay_go_on_beside_a_server(
    server: Server, client: Client, data_dir: Path
) -> None:
    asset = client.created(job_id="job_456")

    rebuilt = run("rebuild", "--data-dir", data_dir)
    replayed = run("replay", "job_456", "--json", "--data-dir", data_dir)

    assert (rebuilt.returncode, rebuilt.stderr) == (0, "")
    assert rebuilt.stdout.startswith("generation 2 holds all 2 events; its digest is ")
    assert replayed.returncode == 0, replayed.stderr
    assert asset["id"] in replayed.stdout


def test_a_log_whose_last_event_was_changed_is_refused_with_what_to_do(
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


def test_a_start_that_is_killed_anywhere_leaves_a_folder_that_starts(data_dir: Path) -> None:
    """The first start too, which makes everything."""
    server = Server(data_dir)
    for step in range(1, 11):
        server.launch()
        time.sleep(step / 10)  # not to wait for anything: the instant is the dice
        server.kill()

    with serving(data_dir) as server, talking(server.port) as client:
        client.created()
        assert "Traceback" not in server.errors
    audit(data_dir)
