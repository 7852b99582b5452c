from pathlib import Path

import pytest

from asset_ledger.projections.runtime.registry import PROJECTIONS
from asset_ledger.projections.runtime.store import State, next_number, open_current
from asset_ledger.projections.runtime.table_files import SqliteDatabase, TableFiles


def leave(folder: Path, number: int, state: State) -> None:
    database = SqliteDatabase(folder, number, PROJECTIONS)
    database.mark(state)
    database.close()


def current(folder: Path) -> int:
    database = open_current(TableFiles(folder), PROJECTIONS)
    database.close()
    return database.number


@pytest.mark.parametrize(
    ("files", "expected", "left"),
    [
        ({}, 1, [1]),
        ({1: "building"}, 1, [1]),
        ({1: "ready"}, 1, [1]),
        ({1: "ready", 2: "ready"}, 2, [1, 2]),
        ({1: "ready", 2: "building"}, 1, [1]),
        ({1: "ready", 2: "retired"}, 1, [1, 2]),
        ({1: "ready", 2: "building", 3: "building"}, 1, [1]),
        ({2: "building", 3: "building"}, 3, [3]),
        ({7: "retired"}, 8, [7, 8]),
        ({9: "ready", 10: "ready"}, 10, [9, 10]),
        ({1: "ready", 2: "ready", 3: "ready"}, 3, [2, 3]),
        ({1: "ready", 2: "retired", 3: "ready"}, 3, [1, 3]),
        ({1: "ready", 2: "ready", 3: "retired"}, 2, [1, 2, 3]),
    ],
)
def test_generation_in_use_is_the_highest_ready_generation(
    tmp_path: Path, files: dict[int, State], expected: int, left: list[int]
) -> None:
    for number, state in files.items():
        leave(tmp_path, number, state)

    assert current(tmp_path) == expected
    assert TableFiles(tmp_path).numbers() == left


@pytest.mark.parametrize("damaged", [b"", b"not a database at all, but long enough" * 200])
def test_damaged_file_is_not_the_generation_in_use(tmp_path: Path, damaged: bytes) -> None:
    leave(tmp_path, 1, "ready")
    (tmp_path / "projections.g2.db").write_bytes(damaged)

    assert current(tmp_path) == 1
    assert TableFiles(tmp_path).numbers() == [1]  # nothing else would ever remove it


def test_damaged_file_without_others_leads_to_a_new_generation(tmp_path: Path) -> None:
    (tmp_path / "projections.g1.db").write_bytes(b"not a database at all" * 500)

    assert current(tmp_path) == 2


def test_next_generation_has_the_highest_number(tmp_path: Path) -> None:
    leave(tmp_path, 1, "ready")
    leave(tmp_path, 4, "retired")

    database = TableFiles(tmp_path).open(next_number(TableFiles(tmp_path)), PROJECTIONS)
    database.close()

    assert (database.number, TableFiles(tmp_path).numbers()) == (5, [1, 4, 5])


def test_files_with_other_names_are_not_generations(tmp_path: Path) -> None:
    for name in ("projections.g1.db-wal", "projections.g01.db", "projections.gx.db", "x.g1.db"):
        (tmp_path / name).touch()

    assert TableFiles(tmp_path).numbers() == []
