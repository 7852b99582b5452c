"""S3 clients as people have them, against a real server: s3fs, rclone, and a server that dies."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import s3fs
from botocore.config import Config

from tests.journeys.server import PATIENCE, Server, run

pytestmark = pytest.mark.slow

RCLONE = Path(sys.executable).with_name("rclone")


class Door:
    """A server with an S3 port, and a key of user alice."""

    def __init__(self, data_dir: Path) -> None:
        made = run("s3-key", "create", "--data-dir", data_dir, "--user", "alice")
        assert made.returncode == 0, made.stderr
        self.key = dict(line.split("=", 1) for line in made.stdout.splitlines())
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.server = Server(data_dir, "--auth", "tokens", "--s3-port", str(port))
        self.server.start()

    @property
    def client(self):  # type: ignore[no-untyped-def]  # boto3 makes its classes at run time
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.key["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.key["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
            config=Config(signature_version="s3v4", retries={"max_attempts": 1}),
        )

    def rclone(self, *arguments: str | Path) -> str:
        """Run rclone, where `l:` is the door."""
        settings = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": self.url,
            "ACCESS_KEY_ID": self.key["AWS_ACCESS_KEY_ID"],
            "SECRET_ACCESS_KEY": self.key["AWS_SECRET_ACCESS_KEY"],
        }
        done = subprocess.run(
            [RCLONE, "--config", os.devnull, *arguments],
            env=os.environ | {f"RCLONE_CONFIG_L_{name}": value for name, value in settings.items()},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def door(tmp_path: Path):  # type: ignore[no-untyped-def]
    opened = Door(tmp_path / "data")
    try:
        yield opened
    finally:
        opened.server.close()


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_rclone_mirrors_a_folder_both_ways(door: Door, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    for number in range(30):
        path = source / f"d{number % 3}" / f"ü {number}+%2F&.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(number * 500))
    (source / "big").write_bytes(os.urandom(12_000_000))

    door.rclone("sync", source, "l:mirror/x")
    door.rclone("check", "--download", source, "l:mirror/x")
    (source / "d0" / "ü 0+%2F&.txt").unlink()
    (source / "big").write_bytes(b"changed")
    door.rclone("sync", source, "l:mirror/x")
    again = door.rclone("sync", "--stats-one-line", "-v", source, "l:mirror/x")
    door.rclone("sync", "l:mirror/x", back)

    assert tree(back) == tree(source)
    assert "Copied" not in again


def test_s3fs_reads_writes_moves_and_removes(door: Door) -> None:
    door.client.create_bucket(Bucket="frames")
    files = s3fs.S3FileSystem(
        key=door.key["AWS_ACCESS_KEY_ID"],
        secret=door.key["AWS_SECRET_ACCESS_KEY"],
        client_kwargs={"endpoint_url": door.url},
        skip_instance_cache=True,
    )
    with files.open("frames/a/one.csv", "wb") as file:
        file.write(b"x,y\n" * 3_000_000)
    with files.open("frames/a/one.csv") as file:
        file.seek(11_999_996)
        assert file.read() == b"x,y\n"
    files.mv("frames/a/one.csv", "frames/b/two.csv")
    assert files.find("frames") == ["frames/b/two.csv"]
    files.rm("frames/b", recursive=True)
    assert not files.exists("frames/b/two.csv")


def test_parts_that_were_answered_survive_a_kill(door: Door) -> None:
    door.client.create_bucket(Bucket="bucket")
    target = {"Bucket": "bucket", "Key": "big"}
    upload = {**target, "UploadId": door.client.create_multipart_upload(**target)["UploadId"]}
    parts = []
    for number, body in ((1, b"a" * 6_000_000), (2, b"b")):
        sent = door.client.upload_part(**upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        door.server.kill()
        door.server.start()

    door.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    assert door.client.get_object(**target)["Body"].read() == b"a" * 6_000_000 + b"b"
