import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from asset_ledger.projections.rebuild.digest import digest
from asset_ledger.projections.runtime.table_files import SqliteDatabase


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SqliteDatabase]:
    with closing(SqliteDatabase(tmp_path, 1, ())) as db:
        db.write.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY, x REAL, json TEXT)")
        db.write.execute(
            "CREATE TABLE words (b TEXT, a TEXT, note TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID"
        )
        db.write.execute("INSERT INTO numbers VALUES (10, 0.1, '{}'), (9, 2.0, '[]')")
        db.write.execute(
            "INSERT INTO words VALUES ('1', 'é', NULL), ('2', 'Z', 'x'), ('1', 'Z', 'a')"
        )
        yield db


def test_digest_covers_rows_in_key_order_without_the_column_json(
    db: SqliteDatabase,
) -> None:
    expected = (
        "numbers\n"
        '{"n":9,"x":2.0}\n'
        '{"n":10,"x":0.1}\n'
        "words\n"
        '{"a":"Z","b":"1","note":"a"}\n'
        '{"a":"Z","b":"2","note":"x"}\n'
        '{"a":"é","b":"1","note":null}\n'
    )

    assert digest({"words": db, "numbers": db}) == hashlib.sha256(expected.encode()).hexdigest()


def test_digest_ignores_the_column_json(db: SqliteDatabase) -> None:
    before = digest({"words": db, "numbers": db})
    db.write.execute("UPDATE numbers SET json = 'other'")

    assert digest({"words": db, "numbers": db}) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE words SET note = '' WHERE note IS NULL",
        "UPDATE numbers SET x = x + 1e-12",
        "DELETE FROM words WHERE b = '2'",
        "INSERT INTO numbers VALUES (11, NULL, NULL)",
    ],
)
def test_digest_changes_with_any_other_change(db: SqliteDatabase, change: str) -> None:
    before = digest({"words": db, "numbers": db})
    db.write.execute(change)

    assert digest({"words": db, "numbers": db}) != before


def test_digest_encodes_bytes_as_hex(db: SqliteDatabase) -> None:
    db.write.execute("CREATE TABLE hashes (n INTEGER PRIMARY KEY, hash BLOB)")
    db.write.execute("INSERT INTO hashes VALUES (1, x'00ff')")

    expected = b'hashes\n{"hash":"00ff","n":1}\n'
    assert digest({"hashes": db}) == hashlib.sha256(expected).hexdigest()
