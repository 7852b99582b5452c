"""kill -9 of a server that reads everything again: no finding is lost, none is recorded twice."""

import hashlib
import random
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.api.damage import content_file, flip
from tests.journeys.audit import events_in
from tests.journeys.server import run, serving, until


@pytest.mark.slow
def test_kills_of_a_scrubbing_server_lose_no_finding_and_record_none_twice(
    data_dir: Path, tmp_path: Path
) -> None:
    for name, size in (("large", 3_000_000), ("small", 5_000)):
        (tmp_path / name).write_bytes(random.Random(name).randbytes(size))
    paths = (tmp_path / "large", tmp_path / "small")
    dice = random.Random("kills")
    with serving(data_dir, "--scrub-interval", "1s") as server:
        assert run("put", *paths, "--data-dir", data_dir).returncode == 0
        content_file(data_dir, True).unlink()
        flip(100)(content_file(data_dir, False))
        for _ in range(4):
            time.sleep(dice.uniform(0, 4))  # the scrub begins after two seconds
            server.kill()
            server.start()
        until(lambda: len(damage(data_dir)) == 2, "both findings are recorded")
        for path in paths:
            store_again(server.url, path.read_bytes())
        for _ in range(2):
            time.sleep(dice.uniform(0, 4))
            server.kill()
            server.start()
        until(lambda: len(damage(data_dir)) == 4, "both repairs are recorded")
        assert server.stop() == 0

    topics = [topic for topic, _ in damage(data_dir)]
    parts = [part for _, part in damage(data_dir)]
    assert sorted(topics) == ["damage.found"] * 2 + ["damage.repaired"] * 2
    assert {*parts[:2]} == {*parts[2:]}
    assert "Traceback" not in server.errors
    assert run("verify", "--data-dir", data_dir).returncode == 0


def store_again(url: str, content: bytes) -> None:
    path = f"/api/contents/sha256:{hashlib.sha256(content).hexdigest()}"
    headers = {"Content-Type": "application/octet-stream"}
    with urlopen(Request(f"{url}{path}", content, headers, method="PUT")) as answer:
        assert answer.status == 200


def damage(data_dir: Path) -> list[tuple[str, str]]:
    """Return the topic and the part of each finding and repair in the log."""
    return [
        (event.topic, part)
        for event in events_in(data_dir)
        if event.topic.startswith("damage.")
        for part in event.fields["parts"]
    ]
