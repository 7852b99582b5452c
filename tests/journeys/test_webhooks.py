"""Webhooks of a real server to real receivers: kills of either, a receiver that hangs, a shell."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.house.source import ROOT
from tests.journeys.client import talking
from tests.journeys.server import Server, run, until

pytestmark = pytest.mark.slow

EACH = 8
"""Events before each kill."""

RECEIVER = ROOT / "tests" / "journeys" / "receiver.py"


class Receiver:
    """A receiver process, which can be killed and started again at its port."""

    def __init__(self, file: Path, does: str) -> None:
        self.file, self.does, self.port = file, does, 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, str(RECEIVER), str(self.port), str(self.file), self.does]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        if self._process is not None:
            with self._process as process:
                process.kill()
        self._process = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Return the whole lines: a kill may leave half of one."""
        text = self.file.read_text("utf-8") if self.file.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    @property
    def accepted(self) -> list[int]:
        """Return the positions of the messages that it answered with 204, in order."""
        return [json.loads(each["body"])["position"] for each in self.messages if each["accepted"]]


@contextmanager
def receiver(file: Path, does: str) -> Iterator[Receiver]:
    running = Receiver(file, does)
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", "--hook-addresses", "any")
    try:
        server.start()
        yield server
    finally:
        server.close()


def hook(server: Server, *arguments: str) -> Any:
    """Run `asset-ledger hook` on the folder of the server, which may run; return its JSON."""
    done = run("hook", *arguments, "--data-dir", server.data_dir, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done
    return [json.loads(line) for line in done.stdout.splitlines()]


def record(server: Server, count: int) -> None:
    with talking(server.port) as client:
        for _ in range(count):
            client.created()


def check(got: Receiver, secret: str, expected: list[int]) -> None:
    """Check that every event arrived, signed, and in order, apart from repetitions."""
    for each in got.messages:
        Webhook(secret).verify(each["body"], each["headers"])
    first = list(dict.fromkeys(got.accepted))
    assert first == expected, got.accepted
    repeated = [
        each
        for before, each in zip(got.accepted, got.accepted[1:], strict=False)
        if each > before + 1
    ]
    assert repeated == []


def test_every_event_arrives_in_order_over_kills_beside_a_hook_that_hangs(
    server: Server, tmp_path: Path
) -> None:
    with (
        receiver(tmp_path / "flaky", "flaky") as flaky,
        receiver(tmp_path / "hang", "hang") as hanging,
    ):
        (stuck,) = hook(server, "add", hanging.url)
        (made,) = hook(server, "add", flaky.url, "--topic", "asset.created")
        killed: list[Server | Receiver] = [server, flaky, server]
        for number, victim in enumerate(killed):
            record(server, EACH)
            some = number * EACH + 2
            until(lambda some=some: len(set(flaky.accepted)) >= some, "some events arrive")  # type: ignore[misc]
            victim.kill()
            victim.start()
        expected = [*range(2, 2 + EACH * len(killed))]
        until(lambda: set(flaky.accepted) >= {*expected}, "all events arrive")

        check(flaky, made["secret"], expected)
        states = {each["id"]: each for each in hook(server, "list")}
        assert states[stuck["id"]]["lag"] == len(expected)
        assert states[stuck["id"]]["delivered"] == 0


def test_hook_made_in_a_stopped_folder_starts_with_the_server(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--hook-addresses", "any")
    server.start()
    assert server.stop() == 0
    with receiver(tmp_path / "got", "accept") as got:
        (made,) = hook(server, "add", got.url)
        try:
            server.start()
            record(server, 2)
            until(lambda: len({*got.accepted}) == 2, "both events arrive")
            (shown,) = hook(server, "list")
            removed = run("hook", "remove", made["id"], "--data-dir", server.data_dir)
        finally:
            server.close()

    check(got, made["secret"], [2, 3])
    assert shown["id"] == made["id"]
    assert removed.stdout == f"webhook {made['id']} is removed; its last event was 3\n"


def test_shell_refuses_a_bad_hook_in_one_line(server: Server) -> None:
    for arguments in (
        ("add", "ftp://x"),
        ("add", "http://127.0.0.1/", "--topic", "x"),
        ("remove", "0" * 12),
    ):
        done = run("hook", *arguments, "--data-dir", server.data_dir)

        assert (done.returncode, done.stdout) == (2, ""), done
        assert done.stderr.count("\n") == 1
