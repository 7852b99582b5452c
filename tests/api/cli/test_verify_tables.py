"""`asset-ledger verify` compares every table of every projection with the log."""

import asyncio
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.ids import digest_of
from asset_ledger.projections.tables.search import word_heads
from tests.api.running import serving
from tests.journeys.client import talking
from tests.journeys.server import run
from tests.journeys.server import serving as serving_apart
from tests.projections.packages import PROJECTION, plant

pytestmark = pytest.mark.slow

FINE, FOUND, REFUSED = 0, 1, 2

NAMED = PROJECTION.replace("PRIMARY KEY)", "PRIMARY KEY, kind TEXT)").replace(
    '"INSERT INTO seen VALUES (?)", (recorded.position,)',
    '"INSERT INTO seen VALUES (?, ?)", (recorded.position, recorded.event.TOPIC)',
)
REFUSING = PROJECTION.replace(
    "        yield",
    "        if recorded.position == 3:\n            raise ValueError('no')\n        yield",
)


class Case(NamedTuple):
    """A row of a table: its file, its condition, its key, and SQL that changes it.

    `other`: SQL that makes another row of a copy of this one; `other_key`: the key of that row.
    """

    part: str
    row: str
    key: str
    change: str
    other: str
    other_key: str


USAGE_KEY = "user_id=1 dimension=job_id key="
CASES = {
    "assets": Case(
        *("g2", "seq = 2", "seq=2", "size = 7"),
        *(f"seq = 9, json = replace(json, substr(json, 8, 32), '{'x' * 32}')", "seq=9"),
    ),
    "jobs": Case(
        *("g2", "true", "user_id=1 job_id=j", "status = 'running'"),
        *("job_id = 'x'", "user_id=1 job_id=x"),
    ),
    "edges": Case(
        *("g2", "true", r"source=\w+ derived=\w+", "digest = 'd'"),
        *("source = 'x', derived = 'y'", "source=x derived=y"),
    ),
    "usage": Case(
        *("g2.usage", "dimension = 'job_id'", f"{USAGE_KEY}j", "count = 7"),
        *("key = 'x'", f"{USAGE_KEY}x"),
    ),
    "usage_assets": Case("g2.usage", "seq = 2", "seq=2", "size = 7", "seq = 9, id = 'x'", "seq=9"),
    "search_assets": Case(
        "g2.search", "seq = 2", "seq=2", "name = 'z'", "seq = 9, id = 'x'", "seq=9"
    ),
    "catalog": Case("g2.catalog", "seq = 2", "seq=2", "name = 'z'", "seq = 9, id = 'x'", "seq=9"),
    "seen": Case(
        "g2.seen", "position = 2", "position=2", "kind = 'z'", "position = 9", "position=9"
    ),
}


async def record(data_dir: Path) -> None:
    """Two assets of a job, the second made from the first."""
    async with serving(Settings(data_dir=data_dir)) as api:
        first = await api.created(b"1", name="a.png", job_id="j", tags=["t"], metadata={"m": "v"})
        await api.created(b"2", name="b.png", job_id="j", derived_from=[first["id"]])


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger `data` of three events, and a copy `rebuilt` with a package's projection."""
    folder = tmp_path_factory.mktemp("origin")
    asyncio.run(record(folder / "data"))
    plant(folder / "site", NAMED)
    shutil.copytree(folder / "data", folder / "rebuilt")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(folder / "site"))
        assert run("rebuild", "--data-dir", folder / "rebuilt").returncode == FINE
        assert verify(folder / "rebuilt", FINE) == []
    return folder


@pytest.fixture
def folder(origin: Path, tmp_path: Path) -> Path:
    """A copy of the ledger, with generation 1 in use."""
    return Path(shutil.copytree(origin / "data", tmp_path / "data"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that every command imports from."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return tmp_path / "site"


@pytest.fixture
def rebuilt(origin: Path, tmp_path: Path, site: Path) -> Path:
    """A copy of the ledger with generation 2 in use, and the package installed."""
    shutil.copytree(origin / "site", site)
    return Path(shutil.copytree(origin / "rebuilt", tmp_path / "rebuilt"))


def verify(folder: Path, code: int = FOUND) -> list[str]:
    """The findings of the command."""
    done = run("verify", "--data-dir", folder)
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    return [
        line for line in done.stdout.splitlines() if not re.match(r"read \d|recomputed proj", line)
    ]


def change(folder: Path, part: str, *statements: str) -> None:
    """Run SQL in one file of tables."""
    with closing(sqlite3.connect(folder / f"projections.{part}.db")) as db, db:
        for statement in statements:
            db.execute(statement)


def stored_columns(folder: Path, part: str, table: str) -> str:
    """Return the columns of a table that are not computed."""
    with closing(sqlite3.connect(folder / f"projections.{part}.db")) as db:
        return ", ".join(name for _, name, *_ in db.execute(f"PRAGMA table_info({table})"))


@pytest.mark.parametrize("table", CASES)
def test_a_deleted_row_is_found_by_its_key(rebuilt: Path, table: str) -> None:
    case = CASES[table]
    change(rebuilt, case.part, f"DELETE FROM {table} WHERE {case.row}")

    (found,) = verify(rebuilt)

    name = f"projections.{case.part}.db {table}"
    assert re.fullmatch(rf"{re.escape(name)} {case.key}: is missing", found)


@pytest.mark.parametrize("table", CASES)
def test_a_changed_row_is_found_with_its_columns(rebuilt: Path, table: str) -> None:
    case = CASES[table]
    change(rebuilt, case.part, f"UPDATE {table} SET {case.change} WHERE {case.row}")

    (found,) = verify(rebuilt)

    name, column = f"projections.{case.part}.db {table}", case.change.split()[0]
    what = f"is not what the events make it: {column}"
    assert re.fullmatch(rf"{re.escape(name)} {case.key}: {what}", found)


@pytest.mark.parametrize("table", CASES)
def test_an_added_row_is_found_by_its_key(rebuilt: Path, table: str) -> None:
    case = CASES[table]
    columns = stored_columns(rebuilt, case.part, table)
    copied = f"CREATE TEMP TABLE one AS SELECT {columns} FROM {table} WHERE {case.row}"
    change(
        *(rebuilt, case.part, copied, f"UPDATE one SET {case.other}"),
        f"INSERT INTO {table} ({columns}) SELECT * FROM one",
    )

    (found,) = verify(rebuilt)

    name = f"projections.{case.part}.db {table}"
    assert found == f"{name} {case.other_key}: is there, and no event makes it"


def test_a_missing_word_of_a_full_text_index_is_found(folder: Path) -> None:
    delete = "INSERT INTO search_heads (search_heads, rowid, heads) VALUES ('delete', 2, '{}')"
    change(folder, "g1.search", delete.format(word_heads("t")))

    (found,) = verify(folder)

    name = "projections.g1.search.db search_heads"
    assert found == f"{name} term={word_heads('t')} doc=2: is missing"


def test_an_extra_word_of_a_full_text_index_is_found(folder: Path) -> None:
    change(folder, "g1.search", "INSERT INTO search_heads (rowid, heads) VALUES (9, 'cat')")

    (found,) = verify(folder)

    name = "projections.g1.search.db search_heads"
    assert found == f"{name} term=cat doc=9: is there, and no event makes it"


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM search_text_data WHERE id > 10",
        "UPDATE search_text_data SET block = zeroblob(length(block)) WHERE id > 10",
        "DELETE FROM search_heads_data WHERE id > 10",
    ],
)
def test_a_corrupted_full_text_index_is_found_when_its_rows_are_right(
    folder: Path, damage: str
) -> None:
    change(folder, "g1.search", damage)

    found = verify(folder)

    assert [line for line in found if line.startswith("projections.g1.search.db")] == found
    assert found


def test_a_missing_index_is_named(folder: Path) -> None:
    change(folder, "g1.catalog", "DROP INDEX catalog_by_size")

    assert verify(folder) == ["projections.g1.catalog.db index catalog_by_size: is missing"]


def test_a_trigger_without_a_migration_is_named(folder: Path) -> None:
    change(folder, "g1", "CREATE TRIGGER t AFTER INSERT ON jobs BEGIN DELETE FROM jobs; END")

    (found,) = verify(folder)

    assert found == "projections.g1.db trigger t: is there, and no migration makes it"


def test_a_column_without_a_migration_is_named(folder: Path) -> None:
    change(folder, "g1.catalog", "ALTER TABLE catalog ADD COLUMN smell TEXT")

    (found,) = verify(folder)

    name = "projections.g1.catalog.db catalog as a whole"
    assert found == f"{name}: has a column of no migration, smell"


@pytest.mark.parametrize("part", ["usage", "search", "catalog", "seen"])
def test_a_missing_file_is_named(rebuilt: Path, part: str) -> None:
    (rebuilt / f"projections.g2.{part}.db").unlink()

    (found,) = verify(rebuilt)

    assert found.startswith(f"projections.g2.{part}.db as a whole: is missing")


def test_files_of_a_generation_without_its_tables_are_named(folder: Path) -> None:
    (folder / "projections.g1.db").unlink()

    found = verify(folder)

    parts = ["catalog", "search", "usage"]
    assert [line.split()[0] for line in found] == [f"projections.g1.{part}.db" for part in parts]
    assert {line.partition(": ")[2] for line in found} == {
        "was not verified: no generation is in use"
    }


def test_files_without_a_database_are_named(folder: Path) -> None:
    for part in ("", ".usage"):
        (folder / f"projections.g1{part}.db").write_bytes(b"no database at all" * 1_000)

    assert {line.split()[0] for line in verify(folder)} >= {
        *("projections.g1.db", "projections.g1.usage.db")
    }


def test_a_damaged_file_is_named_and_the_others_are_verified(folder: Path) -> None:
    (folder / "projections.g1.usage.db").write_bytes(b"no database at all" * 1_000)
    change(folder, "g1.catalog", "DELETE FROM catalog WHERE seq = 2")

    usage, catalog = verify(folder)

    assert (
        usage
        == "projections.g1.usage.db as a whole: its rows could not be read: file is not a database"
    )
    assert catalog == "projections.g1.catalog.db catalog seq=2: is missing"


@pytest.mark.parametrize(
    ("position", "what"),
    [
        ("position = 99", "is at an event 99 that this log does not have"),
        ("leaf = x'00'", "is at an event 3 that this log does not have"),
        ("log_id = 'other'", "is at an event 3 that this log does not have"),
    ],
)
def test_a_position_outside_of_the_log_is_named(folder: Path, position: str, what: str) -> None:
    change(folder, "g1.search", f"UPDATE positions SET {position}")

    assert verify(folder) == [f"projections.g1.search.db as a whole: {what}"]


def test_projections_of_one_file_at_different_positions_are_named(folder: Path) -> None:
    change(folder, "g1", "UPDATE positions SET position = 2 WHERE projection = 'jobs'")

    (found,) = verify(folder)

    assert found == ("projections.g1.db as a whole: its projections are at different positions")


def test_a_lagging_projection_is_verified_up_to_its_position(folder: Path, tmp_path: Path) -> None:
    usage = folder / "projections.g1.usage.db"
    shutil.copy(usage, tmp_path / "before.db")
    with serving_apart(folder) as server, talking(server.port) as client:
        client.created(name="later.png")
        assert server.stop() == 0
    shutil.copy(tmp_path / "before.db", usage)

    done = run("verify", "--data-dir", folder)

    assert done.returncode == FINE
    made = "recomputed projections.g1.usage.db up to event 3, 1 before the end of the log; digest "
    assert made in done.stdout


def test_a_stuck_projection_is_named_with_the_reason(folder: Path, site: Path) -> None:
    plant(site, REFUSING)
    with serving_apart(folder) as server:
        assert server.stop() == 0

    (found,) = verify(folder)

    what = "is at 2 of 3 events, and cannot reach the last one: "
    assert found.startswith(f"projections.g1.seen.db as a whole: {what}")
    assert "ValueError('no')" in found


def test_a_projection_is_named_when_it_cannot_be_loaded(rebuilt: Path, site: Path) -> None:
    (site / "seen_module.py").write_text("import nothing_of_this_name")

    (found,) = verify(rebuilt)

    assert found.startswith("seen as a whole: ModuleNotFoundError")


def test_a_projection_is_named_when_it_is_not_installed(
    rebuilt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")

    assert verify(rebuilt) == [
        "projections.g2.seen.db as a whole: was not verified: seen is not installed"
    ]


DROP_MIGRATIONS = "DELETE FROM schema_migrations"


def test_the_other_schema_of_a_package_is_named_and_the_rest_is_verified(rebuilt: Path) -> None:
    change(rebuilt, "g2.seen", DROP_MIGRATIONS)
    change(rebuilt, "g2", "UPDATE assets SET size = 7 WHERE seq = 2")

    assets, seen = verify(rebuilt)

    assert assets.startswith("projections.g2.db assets seq=2")
    assert seen == (
        "projections.g2.seen.db as a whole: has the schema of another release: "
        "start the server once"
    )


@pytest.mark.parametrize("part", ["g1", "g1.usage", "g1.search", "g1.catalog"])
def test_tables_of_another_release_are_refused(folder: Path, part: str) -> None:
    change(folder, part, DROP_MIGRATIONS)

    done = run("verify", "--data-dir", folder)

    assert done.returncode == REFUSED
    assert done.stderr.endswith(
        "has the schema of another release: start the server once, or leave the tables out "
        "with --no-tables\n"
    )


def test_verify_only_reads_the_files_in_use(rebuilt: Path) -> None:
    files = sorted(rebuilt.glob("*.db"))
    before = [digest_of(path.read_bytes()) for path in files]
    change(rebuilt, "g2.search", "DELETE FROM search_assets")
    spoilt = [digest_of(path.read_bytes()) for path in files]

    verify(rebuilt)

    assert [digest_of(path.read_bytes()) for path in files] == spoilt != before


def test_verify_leaves_no_temporary_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))

    assert verify(folder, FINE) == []
    assert list((tmp_path / "tmp").iterdir()) == []
