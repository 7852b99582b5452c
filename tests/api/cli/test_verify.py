"""`asset-ledger verify`: what it reads and finds, also while a server runs."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.projections.runtime.registry import FOLLOWING
from tests.api.running import serving
from tests.journeys.server import run
from tests.journeys.tampering import without_triggers

pytestmark = pytest.mark.slow

FINE, FOUND, REFUSED = 0, 1, 2

FILES = ["projections.g1.db", *(f"projections.g1.{each.name}.db" for each in FOLLOWING)]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A ledger of three events. The file `kept` beside it has the last checkpoint."""
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        for n in range(2):
            await api.created(b"%d" % n, name=f"{n}.png", job_id="j")
        note = (await api.get("/api/log/checkpoint")).body
    (tmp_path / "kept").write_bytes(note)
    return tmp_path / "data"


def verified(folder: Path, *options: str | Path, code: int = FINE) -> list[str]:
    done = run("verify", "--data-dir", folder, *options)
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout.splitlines()


async def test_verify_reports_what_was_read_when_all_is_well(folder: Path, tmp_path: Path) -> None:
    log, *tables = verified(folder, "--checkpoint", tmp_path / "kept")

    assert log.startswith("read 3 events and 2 contents; root ")
    assert log.split()[-1] in (tmp_path / "kept").read_text("utf-8")
    assert [line.split()[1] for line in tables] == FILES
    assert tables[0].startswith("recomputed projections.g1.db up to event 3; digest ")


async def test_verify_works_while_a_server_runs(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        await api.created(job_id="j")

        done = [orjson.loads(line) for line in verified(tmp_path / "data", "--json")]

    assert (done[0]["events"], done[0]["contents"]) == (2, 1)
    assert [report["file"] for report in done[1:]] == FILES


def test_verify_prints_a_digest_only_for_tables_with_one(folder: Path) -> None:
    tables = verified(folder)[1:]

    assert ["digest" in line for line in tables] == [True, True, False, False]
    reports = [orjson.loads(line) for line in verified(folder, "--json")[1:]]
    assert [each["digest"] is None for each in reports] == [False, False, True, True]


def test_changed_rows_of_two_tables_are_found(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "projections.g1.db")) as db:
        db.execute("UPDATE assets SET size = 7 WHERE name = '0.png'")
        db.commit()
    with closing(sqlite3.connect(folder / "projections.g1.usage.db")) as db:
        db.execute("DELETE FROM usage WHERE dimension = 'job_id'")
        db.commit()

    found = [
        line
        for line in verified(folder, code=FOUND)
        if "events make" in line or "is missing" in line
    ]

    assert [line.split()[:2] for line in found] == [
        ["projections.g1.db", "assets"],
        ["projections.g1.usage.db", "usage"],
    ]
    assert len(verified(folder, "--no-tables")) == 1


def test_each_finding_is_one_line_with_its_place(folder: Path) -> None:
    with without_triggers(folder / "ledger.db") as db:
        db.execute("UPDATE event_tags SET value = 'k' WHERE position = 3")

    found = verified(folder, "--no-tables", code=FOUND)

    assert found[:2] == [
        "event_tags job=k of user 1 at 3: no event has this tag",
        "event_tags job=j of user 1 at 3: is missing",
    ]


def test_a_truncated_log_is_found_with_a_kept_checkpoint(folder: Path, tmp_path: Path) -> None:
    with without_triggers(folder / "ledger.db") as db:
        for table in ("stored_events", "event_leaves", "event_tags"):
            column = "rowid" if table == "stored_events" else "position"
            db.execute(f"DELETE FROM {table} WHERE {column} = 3")
        db.execute("UPDATE job_heads SET seq = 1")
        db.execute("DELETE FROM checkpoints")

    assert len(verified(folder, "--no-tables")) == 1
    first, *_ = verified(folder, "--no-tables", "--checkpoint", tmp_path / "kept", code=FOUND)
    assert first == (
        "the checkpoint given, of size 3: the log has only 2 events: its end is missing"
    )


async def test_a_checkpoint_of_another_log_is_refused(folder: Path, tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "other")) as api:
        note = (await api.get("/api/log/checkpoint")).body
    (tmp_path / "foreign").write_bytes(note)

    done = run("verify", "--data-dir", folder, "--checkpoint", tmp_path / "foreign")

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "this is a checkpoint of asset-ledger/" in done.stderr


async def test_a_forged_history_is_found_with_a_kept_checkpoint(
    folder: Path, tmp_path: Path
) -> None:
    """The attacker has the key and the program, so that the forged folder is consistent."""
    shutil.rmtree(folder / "content")
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        opened = db.execute("SELECT * FROM stored_events WHERE rowid = 1").fetchone()
        leaf = db.execute("SELECT * FROM event_leaves WHERE position = 1").fetchone()
    for path in folder.glob("*.db*"):
        path.unlink()
    await _forge(folder, opened, leaf)

    assert len(verified(folder, "--no-tables")) == 1
    found = verified(folder, "--no-tables", "--checkpoint", tmp_path / "kept", code=FOUND)
    assert "its root is not the root of the events up to it" in found[0]


async def _forge(folder: Path, opened: tuple[object, ...], leaf: tuple[object, ...]) -> None:
    """Write another history of the same log after its first event, signed by the log's key."""
    async with serving(Settings(data_dir=folder.with_name("empty"))):
        pass
    shutil.copy(folder.with_name("empty") / "ledger.db", folder / "ledger.db")
    with without_triggers(folder / "ledger.db") as db:
        db.execute("DELETE FROM stored_events")
        db.execute("DELETE FROM event_leaves")
        db.execute("INSERT INTO stored_events VALUES (?, ?, ?, ?)", opened)
        db.execute("INSERT INTO event_leaves VALUES (?, ?)", leaf)
    async with serving(Settings(data_dir=folder)) as api:
        for n in range(2):
            await api.created(b"forged %d" % n, name=f"{n}.png", job_id="j")
        await api.get("/api/log/checkpoint")
