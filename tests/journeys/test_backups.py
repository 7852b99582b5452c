"""Backups beside a server under load, with kills of the backup, the server and the restore."""

import os
import signal
from pathlib import Path
from random import Random

import pytest

from tests.journeys.audit import audit, events_in
from tests.journeys.load import Load, under_load
from tests.journeys.server import program, run, serving, until

pytestmark = pytest.mark.slow

LEAST = 2_000
"""The ledger has at least this many events."""


def test_a_backup_under_load_survives_kills_of_every_part(tmp_path: Path, data_dir: Path) -> None:
    dest, random = tmp_path / "backups", Random(5)
    with serving(data_dir) as server, under_load(server.port, Load(), seed=1):
        until(lambda: len(events_in(data_dir)) > LEAST // 2, "half of the events were recorded")
        for _ in range(3):
            kill_after(random.randrange(20), "create", dest, data_dir)
        done = run("backup", "create", dest, "--data-dir", data_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        until(lambda: len(events_in(data_dir)) > LEAST, "the rest was recorded")
        kill_after(5, "create", dest, data_dir)
        done = run("backup", "create", dest, "--data-dir", data_dir, "--with-key")
        assert done.returncode == 0, done.stdout + done.stderr
        server.kill()  # this ends the load, too

    copy = tmp_path / "copy"
    for steps in (5, 8, 12):
        kill_after(steps, "restore", dest, copy)
        assert not (copy / "ledger.db").exists()
        assert run("serve", "--port", "0", "--data-dir", copy).returncode == 2
    done = run("backup", "restore", dest, "--data-dir", copy)
    assert done.returncode == 0, done.stdout + done.stderr
    with serving(copy) as server:
        assert server.stop() == 0
    events = audit(copy)
    assert len(events) > LEAST
    assert events == events_in(data_dir)[: len(events)]


def kill_after(steps: int, verb: str, backups: Path, folder: Path) -> None:
    """Start a command, and kill it after its folder has changed a number of times, or ended."""
    target = backups if verb == "create" else folder
    with program("backup", verb, backups, "--data-dir", folder) as command:
        until(lambda: command.poll() is not None or files_in(target) > steps, "it got this far")
        command.kill()
    assert command.returncode in (0, 2, -signal.SIGKILL)


def files_in(folder: Path) -> int:
    return sum(len(files) + len(folders) for _, folders, files in os.walk(folder))
