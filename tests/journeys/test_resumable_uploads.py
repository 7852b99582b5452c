"""Resumable uploads through kills of the server, by our own client and by those of others."""

import hashlib
import json
import random
import subprocess
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import pytest
from tusclient.client import TusClient

from tests.journeys.audit import audit
from tests.journeys.server import Server, program, run, serving, until
from tests.npm import installed

TUS: Final = {"Tus-Resumable": "1.0.0"}
MIB: Final = 1 << 20
KILLS: Final = 5
NODE_CLIENT: Final = Path(__file__).with_name("tus_js")


class Sender:
    """Uploads one content in pieces. After every failure it asks for the offset and continues."""

    def __init__(self, server: Server, number: int) -> None:
        self._server, self._dice = server, random.Random(number)
        self.name = f"{number}.bin"
        size = self._dice.choice([0, 1, 60_000, 65_537, 3 * MIB, 12 * MIB])
        self.content = self._dice.randbytes(size)
        self._path = ""

    def run(self) -> None:
        """Upload all of it. A server that does not answer is tried again for a minute."""
        deadline = time.monotonic() + 120
        while True:
            try:
                if self._step():
                    return
            except (OSError, HTTPException):
                assert time.monotonic() < deadline, "the server did not come back"
                time.sleep(0.02)

    def _step(self) -> bool:
        """Create the upload, or send a piece of it. Return whether it is finished."""
        if not self._path:
            metadata = f"name {b64encode(self.name.encode()).decode()}"
            headers = {"Upload-Length": str(len(self.content)), "Upload-Metadata": metadata}
            key = {"Idempotency-Key": self.name}
            status, got = self._call("POST", "/api/uploads", headers | key)
            if status == 201:
                self._path = got["location"]
            return "ledger-asset" in got
        status, got = self._call("HEAD", self._path)
        if status != 200 or "ledger-asset" in got:
            assert status in (200, 503), status
            return status == 200
        offset = int(got["upload-offset"])
        piece = self.content[offset : offset + self._dice.randrange(1, 4 * MIB)]
        headers = {
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
        }
        if self._dice.random() < 0.3:
            checksum = b64encode(hashlib.sha256(piece).digest()).decode()
            headers["Upload-Checksum"] = f"sha256 {checksum}"
        cut = self._dice.randrange(len(piece) + 1) if self._dice.random() < 0.2 else None
        status, _ = self._call("PATCH", self._path, headers, piece, cut)
        assert status in (204, 409, 423, 503), status
        return False

    def _call(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        cut: int | None = None,
    ) -> tuple[int, dict[str, str]]:
        """Send a request. With `cut`, hang up after so many bytes of the body."""
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=60)
        try:
            connection.putrequest(method, path)
            for name, value in (TUS | (headers or {}) | {"Content-Length": str(len(body))}).items():
                connection.putheader(name, value)
            connection.endheaders(body[:cut])
            if cut is not None:
                raise ConnectionResetError("hung up")
            answer = connection.getresponse()
            answer.read()
            return answer.status, {name.lower(): text for name, text in answer.getheaders()}
        finally:
            connection.close()


@pytest.mark.slow
def test_uploads_through_kills_end_as_one_asset_each(data_dir: Path) -> None:
    kill_during_uploads(data_dir, kills=KILLS, uploads=40)


@pytest.mark.chaos
def test_uploads_through_thirty_kills_end_as_one_asset_each(data_dir: Path) -> None:
    kill_during_uploads(data_dir, kills=30, uploads=200)


def kill_during_uploads(data_dir: Path, kills: int, uploads: int) -> None:
    """Kill the server again and again while clients upload; check what is recorded."""
    dice = random.Random(kills)
    with serving(data_dir) as server, ThreadPoolExecutor(8) as threads:
        senders = [Sender(server, number) for number in range(uploads)]
        ends = [threads.submit(sender.run) for sender in senders]
        for kill in range(1, kills + 1):
            share = uploads * kill // (kills + 1)
            until(lambda s=share: sum(end.done() for end in ends) >= s, "uploads ended")  # type: ignore[misc]
            time.sleep(dice.uniform(0, 0.2))
            server.kill()
            server.start()
        for end in ends:
            end.result()
        until(lambda: not uploads_left(data_dir), "the server has finished all")
        assert server.stop() == 0
        assert "Traceback" not in server.errors
    events = audit(data_dir)
    created = {event.fields["private"]["name"]: event.fields["digest"] for event in events[1:]}
    assert len(events) == 1 + uploads
    assert created == {
        sender.name: f"sha256:{hashlib.sha256(sender.content).hexdigest()}" for sender in senders
    }


def uploads_left(data_dir: Path) -> list[Path]:
    return [*(data_dir / "content" / "uploads").iterdir()]


@pytest.mark.slow
def test_hundreds_of_unfinished_uploads_are_found_by_a_start(data_dir: Path) -> None:
    with serving(data_dir) as server:
        headers = {"Upload-Length": "10", "Upload-Metadata": "name YQ=="}
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        for _ in range(500):
            connection.request("POST", "/api/uploads", headers=TUS | headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 201
        connection.close()
        server.kill()
        server.start()

        with urlopen(f"{server.url}/metrics") as metrics:
            assert b"asset_ledger_unfinished_uploads 500.0" in metrics.read()


@pytest.mark.slow
def test_tuspy_continues_an_upload_after_a_restart(data_dir: Path, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(6 * MIB)
    file = tmp_path / "a.bin"
    file.write_bytes(content)
    with serving(data_dir) as server, file.open("rb") as stream:
        uploader = TusClient(f"{server.url}/api/uploads").uploader(
            file_stream=stream,
            chunk_size=MIB,
            metadata={"name": "a.bin", "node_id": "n", "tags": '["t"]'},
            upload_checksum=True,
        )
        uploader.upload(stop_at=3 * MIB)
        path = str(uploader.url).removeprefix(server.url)
        server.kill()
        server.start()

        client = TusClient(f"{server.url}/api/uploads")
        again = client.uploader(file_stream=stream, chunk_size=MIB, url=f"{server.url}{path}")
        assert again.offset == 3 * MIB
        again.upload()
        assert server.stop() == 0
    (_, event) = audit(data_dir)
    assert event.fields["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert event.fields["node_id"] == "n"
    assert event.fields["private"]["tags"] == ["t"]


def put_through_a_kill(server: Server, data_dir: Path, file: Path, *options: str) -> str:
    """Run `put`, kill the server once it has a part of the file, and start it again."""
    port = server.port
    with program("put", file, *options, "--url", server.url, "--json") as put:
        until(lambda: put.poll() is not None or bytes_left(data_dir) > 64 * MIB, "it began")
        server.kill()
        server.launch(port)
        out, errors = put.communicate(timeout=120)
    assert put.returncode == 0, errors
    return out


@pytest.mark.slow
def test_put_of_a_large_file_continues_after_a_restart(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    content = random.Random(3).randbytes(200 * MIB)
    file.write_bytes(content)
    with serving(data_dir) as server:
        out = put_through_a_kill(server, data_dir, file)
        assert server.stop() == 0
    (event,) = audit(data_dir)[1:]
    assert event.fields["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert json.loads(out)["assets"][0]["size"] == len(content)


@pytest.mark.slow
def test_put_sync_of_a_large_file_continues_its_new_version(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"old")
    with serving(data_dir) as server:
        assert run("put", file, "--url", server.url).returncode == 0
        content = random.Random(4).randbytes(200 * MIB)
        file.write_bytes(content)
        out = put_through_a_kill(server, data_dir, file, "--sync")
        assert server.stop() == 0
    created, replaced = audit(data_dir)[1:]
    assert (created.topic, replaced.topic) == ("asset.created", "asset.content_replaced")
    assert replaced.stream == created.stream
    assert replaced.fields["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert json.loads(out)["assets"][0]["outcome"] == "changed"
    assert not uploads_left(data_dir)


def bytes_left(data_dir: Path) -> int:
    """Return the bytes of unfinished uploads."""
    return sum(path.stat().st_size for path in uploads_left(data_dir) if path.suffix == ".bytes")


@pytest.fixture(scope="module")
def tus_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script that uploads with tus-js-client, whose packages npm installs."""
    folder = installed(NODE_CLIENT, tmp_path_factory.mktemp("tus") / "tus_js")
    return folder / "upload.js"


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [MIB, 0])
def test_tus_js_client_uploads_through_a_restart(
    tus_js: Path, data_dir: Path, tmp_path: Path, chunk: int
) -> None:
    content = random.Random(2).randbytes(40 * MIB)
    file = tmp_path / "a.bin"
    file.write_bytes(content)
    metadata = {"filename": "\u00e4 \U0001f600.bin", "filetype": "", "job_id": "j"}
    with serving(data_dir) as server:
        command = ["node", str(tus_js), f"{server.url}/api/uploads", str(file), str(chunk)]
        pipe, port = subprocess.PIPE, server.port
        with subprocess.Popen([*command, json.dumps(metadata)], stdout=pipe, stderr=pipe) as node:
            assert node.stderr is not None
            if chunk:
                assert node.stderr.readline()  # the first chunk is accepted
                server.kill()
                server.launch(port)
            out, errors = node.communicate(timeout=120)
        assert node.returncode == 0, errors
    (event,) = [each for each in audit(data_dir) if each.topic == "asset.created"]
    assert event.fields["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert event.fields["private"]["name"] == metadata["filename"]
    assert json.loads(out)["asset"] == event.stream.replace("-", "")
