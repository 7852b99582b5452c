"""Export and import of a whole ledger, with kills of the importing process."""

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
"""The ledger has at least this many events."""


def test_an_import_has_the_same_history_after_two_kills(tmp_path: Path, data_dir: Path) -> None:
    with serving(data_dir) as server, under_load(server.port, Load(), seed=1):
        until(lambda: events(data_dir / "ledger.db") > LEAST, f"{LEAST} events were recorded")
        beside = run("export", "ledger", tmp_path / "beside", "--data-dir", data_dir)
        server.kill()  # this ends the load, too
    assert beside.returncode == 0, beside.stderr
    exported = run("export", "ledger", tmp_path / "out", "--data-dir", data_dir)
    assert exported.returncode == 0, exported.stderr

    copy = tmp_path / "copy"
    kill_two_imports(tmp_path / "out", copy)
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


def kill_two_imports(export: Path, copy: Path) -> None:
    """Kill an import before its first event and after it. A server refuses the folder."""
    for least in (0, 1):
        with program("import", "ledger", export, "--data-dir", copy) as importing:
            until(lambda: events(copy / UNFINISHED) >= least, "the import got this far")  # noqa: B023
            importing.kill()
        assert importing.returncode == -signal.SIGKILL
        assert not (copy / "ledger.db").exists()
        refused = run("serve", "--port", "0", "--data-dir", copy)
        assert (refused.returncode, "was interrupted: run it again" in refused.stderr) == (2, True)


def events(log: Path) -> int:
    """Return the number of events, -1 without a log. The log may be in use."""
    with suppress(sqlite3.Error), reading(log) as db:
        return int(db.execute("SELECT count(*) FROM event_leaves").fetchone()[0])
    return -1
