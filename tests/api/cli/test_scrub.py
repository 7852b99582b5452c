"""`asset-ledger scrub`: every kind of damage is found, and repaired from a backup."""

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import orjson
import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.domain.event import parse_time
from tests.api.damage import (
    Damage,
    content_file,
    damage_table,
    flip,
    lengthen,
    make_unreadable,
    shorten,
)
from tests.api.running import serving
from tests.journeys.server import program, run, until
from tests.journeys.server import serving as process

pytestmark = pytest.mark.slow

FINE, FOUND = 0, 1
LARGE: Final = os.urandom(3_000_000)
SMALL: Final = b"small content"

DAMAGE: Final = [
    (LARGE, shorten(100_000), "changed"),
    (LARGE, lengthen, "changed"),
    (LARGE, flip(2_500_000), "changed"),
    (LARGE, Path.unlink, "missing"),
    (SMALL, shorten(45), "changed"),
    (SMALL, flip(41), "changed"),
    (SMALL, flip(3), "changed"),
    (SMALL, Path.unlink, "changed"),
]


def scrub(data_dir: Path, *flags: str | Path, code: int = FINE) -> list[Any]:
    done = run("scrub", "--data-dir", data_dir, "--json", *flags)
    assert done.returncode == code, done.stdout + done.stderr
    return [orjson.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a content of either size, and a backup of it beside it."""
    data_dir = tmp_path_factory.mktemp("original") / "data"

    async def record() -> None:
        async with serving(Settings(data_dir=data_dir)) as api:
            await api.created(LARGE, name="large")
            await api.created(SMALL, name="small")
            for number in range(600):
                await api.created(None, name=f"{number}", job_id="j")

    asyncio.run(record())
    assert run("backup", "create", data_dir.with_name("b"), "--data-dir", data_dir).returncode == 0
    return data_dir


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original.with_name("b"), tmp_path / "b")
    return Path(shutil.copytree(original, tmp_path / "data"))


def test_a_whole_ledger_has_no_finding(folder: Path) -> None:
    (summary,) = scrub(folder)

    assert (summary["damaged"], summary["size"]) == (0, len(LARGE) + len(SMALL))
    assert scrub(folder) == [summary]


def test_the_last_check_of_each_part_is_listed(folder: Path) -> None:
    began = datetime.now(UTC)
    flip(45)(content_file(folder, True))
    (finding, summary) = scrub(folder, code=FOUND)

    listed = {each["part"]: each for each in scrub(folder, "--list")}

    assert len(listed) == summary["parts"]
    assert all(parse_time(each["checked_at"]) >= began for each in listed.values())
    assert [name for name, each in listed.items() if each["cause"]] == [finding["part"]]
    assert f"Z {finding['part']} changed: " in run("scrub", "--list", "--data-dir", folder).stdout


@pytest.mark.parametrize(("content", "damage", "cause"), DAMAGE)
def test_damage_is_found_and_repaired_from_a_backup(
    folder: Path, content: bytes, damage: Damage, cause: str
) -> None:
    damage(content_file(folder, content is LARGE))

    finding, repair, summary = scrub(folder, "--from", folder.with_name("b"))

    assert finding["cause"] == cause
    assert (repair["part"], repair["repaired"]) == (finding["part"], True)
    assert (summary["repaired"], summary["damaged"]) == (1, 0)
    assert scrub(folder)[-1]["damaged"] == 0


@pytest.mark.parametrize("large", [True, False])
def test_an_unreadable_content_is_found(folder: Path, large: bool) -> None:
    make_unreadable(content_file(folder, large))

    finding, _ = scrub(folder, code=FOUND)

    assert (finding["cause"], finding["what"]) == ("unreadable", "Is a directory")


def test_a_backup_without_the_content_repairs_nothing(folder: Path, tmp_path: Path) -> None:
    content_file(folder, True).unlink()
    shutil.rmtree(tmp_path / "b" / "content" / "objects")

    *_, repair, summary = scrub(folder, "--from", tmp_path / "b", code=FOUND)

    assert (repair["repaired"], repair["reason"]) == (False, "the backup does not have it")
    assert summary["damaged"] == 1


def test_a_content_in_a_store_is_repaired_in_the_store(data_dir: Path, tmp_path: Path) -> None:
    store, backup = tmp_path / "store", tmp_path / "backup"

    async def record() -> None:
        async with serving(Settings(data_dir=data_dir, content_url=str(store))) as api:
            await api.created(LARGE, name="large")

    asyncio.run(record())
    assert run("backup", "create", backup, "--data-dir", data_dir).returncode == 0
    (stored,) = (path for path in store.rglob("*") if path.is_file())
    stored.unlink()

    *_, repair, _ = scrub(data_dir, "--from", backup, code=FOUND)
    copies = list((data_dir / "content" / "objects").rglob("sha256*"))
    named = ("env", f"ASSET_LEDGER_CONTENT_URL={store}")
    again = run("scrub", "--data-dir", data_dir, "--from", backup, before=named)

    assert repair["reason"] == f"it is in the store {store.as_uri()}: set content_url to it"
    assert copies == []
    assert again.stdout.endswith("1 repaired; 0 damaged\n"), again.stdout + again.stderr


def test_a_damaged_backup_repairs_nothing(folder: Path, tmp_path: Path) -> None:
    content_file(folder, True).unlink()
    flip(100)(content_file(tmp_path / "b", True))

    *_, repair, _ = scrub(folder, "--from", tmp_path / "b", code=FOUND)

    assert repair["reason"] == "the backup has other bytes, too"


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ("stored_events", "events 0"),
        ("event_leaves", "events 0"),
        ("event_tags", "table event_tags"),
        ("job_heads", "table job_heads"),
    ],
)
def test_a_damaged_page_of_the_log_is_found(folder: Path, table: str, part: str) -> None:
    scrub(folder)
    damage_table(folder / "ledger.db", table)

    findings = scrub(folder, code=FOUND)

    assert part in [each.get("part") for each in findings]


@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("UPDATE stored_events SET state = replace(state, '1', '2') WHERE rowid = 300", "changed"),
        ("UPDATE event_leaves SET hash = zeroblob(32) WHERE position = 300", "changed"),
        ("DELETE FROM stored_events WHERE rowid = 300", "missing"),
        ("DELETE FROM event_leaves WHERE position = 300", "missing"),
    ],
)
def test_a_changed_row_of_the_log_is_found(folder: Path, sql: str, cause: str) -> None:
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            db.execute(f'DROP TRIGGER "{name}"')
        assert db.execute(sql).rowcount == 1
        db.commit()

    finding, _ = scrub(folder, code=FOUND)

    assert (finding["part"], finding["cause"]) == ("events 1", cause)
    assert "300" in finding["what"]


def test_a_log_that_cannot_be_opened_is_a_finding(folder: Path) -> None:
    scrub(folder)
    with (folder / "ledger.db").open("r+b") as file:
        file.write(b"x" * 4096)

    done = run("scrub", "--data-dir", folder)

    assert done.returncode in (FOUND, 2)
    assert "Traceback" not in done.stderr


def test_a_damaged_or_foreign_file_of_notes_is_made_again(folder: Path) -> None:
    (before,) = scrub(folder)
    (folder / "scrub.db").write_bytes(b"x" * 10_000)

    assert scrub(folder) == [before]


def test_notes_of_another_log_are_not_used(folder: Path, tmp_path: Path) -> None:
    async def record() -> None:
        async with serving(Settings(data_dir=tmp_path / "other")) as api:
            for number in range(700):
                await api.created(None, name=f"{number}")

    asyncio.run(record())
    scrub(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "scrub.db", folder)

    assert scrub(folder)[-1]["size"] == len(LARGE) + len(SMALL)


def test_a_collected_content_is_not_missing(folder: Path) -> None:
    scrub(folder)

    async def delete() -> None:
        async with serving(Settings(data_dir=folder)) as api:
            for asset in (await api.get("/api/assets?size_min=1")).json["assets"]:
                answer = await api.call("DELETE", f"/api/assets/{asset['id']}?purge=true")
                assert answer.status == 200

    asyncio.run(delete())

    assert [each["damaged"] for each in scrub(folder)] == [0]


@pytest.mark.parametrize("content", [LARGE, SMALL], ids=["large", "small"])
def test_a_server_shows_and_records_what_the_command_finds_and_repairs(
    folder: Path, content: bytes
) -> None:
    damage = flip(45)
    with process(folder) as server:
        damage(content_file(folder, content is LARGE))
        finding, _ = scrub(folder, code=FOUND)
        until(lambda: _metric(server.url, "damaged_contents") == 1, "the server shows it")
        until(lambda: len(_events(folder)) == 1, "the server records it")
        scrub(folder, "--from", folder.with_name("b"))
        until(lambda: _metric(server.url, "damaged_contents") == 0, "the server shows the repair")
        until(lambda: len(_events(folder)) == 2, "the server records the repair")

    assert [(each["topic"], each["data"]["parts"]) for each in _events(folder)] == [
        ("damage.found", [finding["part"]]),
        ("damage.repaired", [finding["part"]]),
    ]
    assert run("verify", "--data-dir", folder).returncode == 0


@pytest.mark.slow
def test_a_kill_at_any_instant_of_a_scrub_loses_no_finding(folder: Path) -> None:
    content_file(folder, True).unlink()
    flip(45)(content_file(folder, False))
    backup = folder.with_name("b")
    for pause in range(8):
        with program("scrub", "--data-dir", folder, "--from", backup) as command:
            until(
                lambda: command.poll() is not None or (folder / "scrub.db").exists(),
                "it began",
            )
            for _ in range(pause * 40):
                os.sched_yield()
            command.kill()
    *_, summary = scrub(folder, "--from", backup)

    assert summary["damaged"] == 0
    assert run("verify", "--data-dir", folder, "--no-tables").returncode == 0


def _metric(url: str, name: str) -> float:
    with urlopen(f"{url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    (found,) = [line for line in lines if line.startswith(f"asset_ledger_{name} ")]
    return float(found.split()[1])


def _events(folder: Path) -> list[Any]:
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        rows = db.execute(
            "SELECT topic, state FROM stored_events WHERE topic LIKE 'damage.%' ORDER BY rowid"
        ).fetchall()
    return [{"topic": topic, "data": orjson.loads(state)} for topic, state in rows]
