"""`asset-ledger verify` on damaged files: it names each, and goes on with the rest."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from asset_ledger.api.settings import Settings
from tests.api.running import serving
from tests.journeys.server import run
from tests.journeys.tampering import without_triggers

pytestmark = pytest.mark.slow

PAGE: Final = 4096
FILES: Final = (
    "ledger.db",
    "projections.g1.db",
    "projections.g1.usage.db",
    "projections.g1.search.db",
)
FOUND: Final = 1


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A ledger whose tables have several pages, without a WAL."""
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        for n in range(60):
            fields = {"job_id": f"j{n % 3}", "metadata": {"prompt": f"word{n} " * 60}}
            await api.created(b"%d" % n, name=f"{n}.png", **fields)
        await api.created(bytes(range(256)) * 300, name="large")
        await api.get("/api/log/checkpoint")
    return tmp_path / "data"


def findings(folder: Path) -> list[dict[str, Any]]:
    done = run("verify", "--data-dir", folder, "--json")
    assert (done.returncode, done.stderr) == (FOUND, "")
    return [each for line in done.stdout.splitlines() if "what" in (each := orjson.loads(line))]


def damage(path: Path, page: int) -> None:
    """Overwrite a page of a database, counted from 1."""
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xa5" * PAGE)


def root_of(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
    return int(page)


def names(found: list[dict[str, Any]], file: str) -> bool:
    return any(each["table"].split()[0] == file for each in found)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 1.0])
def test_verify_names_the_file_of_a_damaged_page(folder: Path, file: str, part: float) -> None:
    with closing(sqlite3.connect(folder / file)) as db:
        query = "SELECT rootpage FROM sqlite_master WHERE rootpage > 1 ORDER BY 1"
        pages = [1, *(page for (page,) in db.execute(query))]
    damage(folder / file, pages[round(part * (len(pages) - 1))])  # an unused page has no damage

    assert names(findings(folder), file)


@pytest.mark.parametrize("table", ["stored_events", "event_leaves", "event_tags", "contents"])
def test_verify_goes_on_after_a_damaged_table_of_the_log(folder: Path, table: str) -> None:
    damage(folder / "ledger.db", root_of(folder / "ledger.db", table))
    (large,) = (folder / "content" / "objects").glob("*/*/*")
    large.write_bytes(b"changed")
    damage(folder / "projections.g1.usage.db", 3)

    found = findings(folder)

    assert names(found, "ledger.db")
    assert names(found, "content/objects")
    assert names(found, "projections.g1.usage.db")


def _replace_guard(db: sqlite3.Connection) -> None:
    db.execute("DROP TRIGGER stored_events_never_UPDATE")
    db.execute(
        "CREATE TRIGGER stored_events_never_UPDATE BEFORE UPDATE ON stored_events"
        " BEGIN SELECT 1; END"
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_replace_guard, "was replaced"),
        (lambda db: db.execute("DROP TRIGGER checkpoints_never_DELETE"), "is missing"),
        (
            lambda db: db.execute(
                "CREATE TRIGGER extra AFTER INSERT ON stored_events BEGIN SELECT 1; END"
            ),
            "no release makes it",
        ),
    ],
)
def test_verify_finds_changed_guards(
    folder: Path, change: Callable[[sqlite3.Connection], object], what: str
) -> None:
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as db:
        change(db)

    (found,) = findings(folder)

    assert found["table"] == "ledger.db trigger"
    assert what in found["what"]


async def _other_key(folder: Path) -> None:
    async with serving(Settings(data_dir=folder.with_name("other"))):
        pass
    shutil.copy(folder.with_name("other") / "checkpoint.key", folder / "checkpoint.key")


async def _no_key(folder: Path) -> None:
    (folder / "checkpoint.key").unlink()


async def _broken_key(folder: Path) -> None:
    (folder / "checkpoint.key").write_bytes(b"no key")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_no_key, "is not in the data folder"),
        (_broken_key, "is not a readable key"),
        (_other_key, "is not the key that this log names"),
    ],
)
async def test_verify_finds_a_wrong_key(folder: Path, change: Any, what: str) -> None:
    await change(folder)

    (found,) = findings(folder)

    assert found["table"] == "checkpoint.key"
    assert what in found["what"]


@pytest.mark.parametrize("change", ["hash", "owner", "scopes"])
async def test_verify_finds_a_changed_token(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "data"
    assert run("token", "create", "--data-dir", folder, "--user", "alice").returncode == 0
    with without_triggers(folder / "ledger.db") as db:
        path = {"hash": "$.hash", "owner": "$.owner", "scopes": "$.scopes[0]"}[change]
        db.execute(
            "UPDATE stored_events SET state = CAST(json_set(CAST(state AS TEXT), ?, 'x') AS BLOB)"
            " WHERE topic = 'token.created'",
            (path,),
        )

    assert "event_leaves" in {each["table"] for each in findings(folder)}


def test_verify_finds_a_file_of_tokens_that_no_event_explains(folder: Path) -> None:
    (folder / "access.db").write_bytes(b"")

    (found,) = findings(folder)

    assert (found["table"], found["where"]) == ("access.db", "as a file")
