"""A whole ledger out and in again, with processes that are killed on the way."""

import shutil
import signal
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from asset_ledger.ledger.storage.data_folder import UNFINISHED
from tests.journeys.audit import audit, events_in, reading
from tests.journeys.load import Load, under_load
from tests.journeys.server import program, run, serving, until

pytestmark = pytest.mark.slow

LEAST = 2_500
"""How many events the ledger has at least."""


def test_an_import_that_is_killed_again_and_again_ends_with_the_same_history(
    tmp_path: Path, data_dir: Path
) -> None:
    with serving(data_dir) as server, under_load(server.port, Load(), seed=1):
        until(lambda: events(data_dir / "ledger.db") > LEAST, f"{LEAST} events were recorded")
        beside = run("export", "ledger", tmp_path / "beside", "--data-dir", data_dir)
        server.kill()  # which ends the load, too
    assert beside.returncode == 0, beside.stderr
    exported = run("export", "ledger", tmp_path / "out", "--data-dir", data_dir)
    assert exported.returncode == 0, exported.stderr

    copy = tmp_path / "copy"
    killed_somewhere(tmp_path / "out", copy)
    done = run("import", "ledger", tmp_path / "out", "--data-dir", copy)

    assert (done.returncode, done.stderr) == (0, "")
    assert events_in(copy) == events_in(data_dir)
    assert exported.stdout.split()[-1] in done.stdout  # the root
    shutil.copy(data_dir / "checkpoint.key", copy)
    with serving(copy) as server:
        assert server.stop() == 0
    audit(copy)
    verified = run("verify", "--data-dir", copy)
    assert verified.returncode == 0, verified.stdout


def killed_somewhere(export: Path, copy: Path) -> None:
    """Kill an import among the contents, then among the events; a server refuses the folder."""
    for least in (0, 1):
        with program("import", "ledger", export, "--data-dir", copy) as importing:
            until(lambda: events(copy / UNFINISHED) >= least, "it had come so far")  # noqa: B023
            importing.kill()
        assert importing.returncode == -signal.SIGKILL
        assert not (copy / "ledger.db").exists()
        refused = run("serve", "--port", "0", "--data-dir", copy)
        assert (refused.returncode, "was interrupted: run it again" in refused.stderr) == (2, True)


def events(log: Path) -> int:
    """How many there are, also while they are written; -1 before there is a log."""
    with suppress(sqlite3.Error), reading(log) as db:
        return int(db.execute("SELECT count(*) FROM event_leaves").fetchone()[0])
    return -1
