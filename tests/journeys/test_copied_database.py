"""Copies of a ledger to a database and back, killed again and again: nothing is lost or doubled."""

import json
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from asset_ledger.ledger.storage.data_folder import UNFINISHED
from benchmarks.fill import Contents, fill
from tests.journeys.audit import audit, events_in, reading
from tests.journeys.server import program, run, serving, until
from tests.postgres import Postgres

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")

pytestmark = pytest.mark.slow

ASSETS = 4_000
KILLS = 4

COUNT = "SELECT count(*) FROM ledger.stored_events"
ROWS = """SELECT notification_id, originator_id, originator_version, topic, state
    FROM ledger.stored_events ORDER BY notification_id"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A ledger of several pages, with small contents of which many are in each page."""
    contents = Contents.of((b"content %d" % n * 50 for n in range(997)), "text/plain", "txt")
    with Progress(disable=True) as progress:
        fill(tmp_path / "source", ASSETS, progress, contents)
    return tmp_path / "source"


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as address:
        yield address


def kill_many_times(events: Callable[[], int], *arguments: str | Path) -> None:
    """Kill a copy before its first event, then at random moments after more and more events."""
    dice = random.Random(0)
    for number in range(KILLS):
        least = number * ASSETS // KILLS
        with program("copy", *arguments) as copying:
            until(lambda: events() >= least or copying.poll() is not None, "it got this far")  # noqa: B023
            time.sleep(dice.uniform(0, 0.05))
            copying.kill()
        assert copying.returncode == -signal.SIGKILL, copying.returncode


def finished(*arguments: str | Path) -> Any:
    done = run("copy", *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_killed_copies_to_a_database_and_back_end_with_the_same_events(
    source: Path, url: str, tmp_path: Path
) -> None:
    new, back = tmp_path / "new", tmp_path / "back"
    to_database = ("--data-dir", source, "--to-database", url, "--to-data-dir", new)
    to_folder = ("--database-url", url, "--data-dir", new, "--to-data-dir", back)

    kill_many_times(lambda: events_of_database(url), *to_database)
    refused = run("serve", "--port", "0", "--database-url", url, "--data-dir", new)
    assert (refused.returncode, "was interrupted: run it again" in refused.stderr) == (2, True)
    there = finished(*to_database)
    with psycopg.connect(url) as db:
        stored = [(n, stream.hex, *rest) for n, stream, *rest in db.execute(ROWS)]
    assert stored == [tuple(each) for each in events_in(source)]

    kill_many_times(lambda: events_of_folder(back), *to_folder)
    refused = run("serve", "--port", "0", "--data-dir", back)
    assert (refused.returncode, "was interrupted: run it again" in refused.stderr) == (2, True)
    again = finished(*to_folder)

    assert there["root"] == again["root"]
    assert events_in(back) == events_in(source)
    with serving(back) as server:
        assert server.stop() == 0
    audit(back)
    shutil.rmtree(source)  # nothing of it is needed any more
    assert run("verify", "--data-dir", back).returncode == 0


def events_of_database(url: str) -> int:
    """Return the number of events, -1 without a log."""
    with suppress(psycopg.Error), psycopg.connect(url) as db:
        return int(db.execute(COUNT).fetchone()[0])
    return -1


def events_of_folder(folder: Path) -> int:
    """Return the number of events of an unfinished copy, -1 without one."""
    with suppress(sqlite3.Error), reading(folder / UNFINISHED) as db:
        return int(db.execute("SELECT count(*) FROM event_leaves").fetchone()[0])
    return -1
