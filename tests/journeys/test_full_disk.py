"""A full disk: writes are refused, nothing is recorded in part, and it works again with free space.

The test mounts a small tmpfs, which needs root.
"""

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.audit import audit, events_in
from tests.journeys.client import Client, Reply, talking
from tests.journeys.server import serving, until

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        # The committer of a killed server keeps the file system busy until it exits.
        until(lambda: unmount(folder), "the file system is unmounted")


def unmount(folder: Path) -> bool:
    done = subprocess.run(["umount", str(folder)], capture_output=True, check=False)
    return done.returncode == 0


def fill(folder: Path, leave: int) -> Path:
    """Fill the file system with a file, except for `leave` bytes, and return the file."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            file.truncate(max(0, file.tell() - leave))
    return ballast


def is_disk_full(reply: Reply) -> bool:
    return (reply.status, reply.slug) == (507, "disk-full")


@pytest.mark.slow
@pytest.mark.parametrize("leave", [0, 20_000, 200_000])
@pytest.mark.parametrize("size", [5_000, 3 * MIB])
def test_uploads_to_a_full_disk_are_refused_until_there_is_room_again(
    small_disk: Path, leave: int, size: int
) -> None:
    data_dir = small_disk / "data"
    with serving(data_dir) as server, talking(server.port) as client:
        before = client.created(name="before", job_id="j")
        ballast = fill(small_disk, leave)

        recorded = upload_until_refused(client, size)
        assert client.get(before["get_url"]).body == b"content"
        assert not any((data_dir / "content" / "tmp").iterdir())

        ballast.unlink()
        after = client.upload(bytes(size), "after", name="after", job_id="j")
        assert after.status == 201, after.body
        everything = [before["id"], *(asset["id"] for asset in recorded), after.json["id"]]
        until(
            lambda: [asset["id"] for asset in client.assets()] == everything,
            "the tables have all acknowledged assets",
        )
        audit(data_dir)
        assert server.stop() == 0
    with serving(data_dir) as server, talking(server.port) as client:
        assert [asset["id"] for asset in client.assets()] == everything
        audit(data_dir)


def upload_until_refused(client: Client, size: int) -> list[Any]:
    """Upload until the disk is full (three refusals), and return the recorded assets."""
    recorded: list[Any] = []
    refused = 0
    while refused < 3:
        number = len(recorded)
        reply = client.upload(number.to_bytes(8) + bytes(size - 8), name=f"{number}", job_id="j")
        if reply.status in (201, 202):
            recorded.append(reply.json)
            continue
        assert is_disk_full(reply), reply.body
        refused += 1
    return recorded


@pytest.mark.slow
def test_resumable_upload_continues_when_the_disk_has_room_again(small_disk: Path) -> None:
    tus = {"Tus-Resumable": "1.0.0"}
    content = random.Random(1).randbytes(4 * MIB)
    piece = tus | {"Content-Type": "application/offset+octet-stream"}
    with serving(small_disk / "data") as server, talking(server.port) as client:
        declared = {"Upload-Length": str(len(content)), "Upload-Metadata": "name YQ=="}
        path = client.call("POST", "/api/uploads", b"", tus | declared).headers["Location"]
        half = client.call("PATCH", path, content[:MIB], piece | {"Upload-Offset": "0"})
        assert half.status == 204, half.body
        ballast = fill(small_disk, 100_000)

        full = client.call("PATCH", path, content[MIB:], piece | {"Upload-Offset": str(MIB)})
        assert is_disk_full(full), full.body
        assert is_disk_full(client.call("POST", "/api/uploads", b"", tus | declared))
        ballast.unlink()

        offset = client.call("GET", path, b"", tus).json["offset"]
        assert offset == MIB
        rest = client.call("PATCH", path, content[offset:], piece | {"Upload-Offset": str(offset)})
        assert rest.status == 204, rest.body
        asset = rest.headers["Ledger-Asset"]
        assert client.get(f"/api/assets/{asset}/content").body == content
        audit(small_disk / "data")


@pytest.mark.slow
def test_uploads_refused_on_a_full_disk_leave_no_event_and_no_key(small_disk: Path) -> None:
    data_dir = small_disk / "data"
    with serving(data_dir) as server, talking(server.port) as client:
        ballast = fill(small_disk, 0)
        for number in range(20):
            assert is_disk_full(client.upload(bytes(50_000), f"k{number}", name="a", job_id="j"))
            assert is_disk_full(client.upload(None, name="b", content_type="text/plain"))
        assert len(events_in(data_dir)) == 1
        assert client.get("/api/jobs/j/history").status == 404

        ballast.unlink()

        for number in range(20):
            reply = client.upload(bytes(50_000), f"k{number}", name="a", job_id="j")
            assert (reply.status, reply.replayed) == (201, False)
        assert len(audit(data_dir)) == 21


@pytest.mark.slow
def test_a_key_rotation_on_a_full_disk_is_refused_and_works_later(small_disk: Path) -> None:
    with serving(small_disk / "data") as server, talking(server.port) as client:
        before = client.get("/api/log/key").json
        ballast = fill(small_disk, 0)
        assert is_disk_full(client.call("POST", "/api/log/key/rotate"))
        assert client.get("/api/log/key").json == before

        ballast.unlink()

        assert client.call("POST", "/api/log/key/rotate").status == 200
        assert client.get("/api/log/checkpoint").status == 200
