"""Tampering with the files of a ledger, without its triggers."""

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.audit.folder import Audit
from asset_ledger.ledger.progress import no_progress
from asset_ledger.ledger.storage.data_folder import DataFolder

LOG_TABLES: Final = (
    *("stored_events", "event_leaves", "event_tags", "command_keys", "job_heads"),
    *("checkpoints", "contents"),
)

Random = random.Random


def audited(folder: Path, scratch: Path, given: Sequence[str] = ()) -> list[Finding]:
    """Audit a folder, and return the findings."""
    (scratch / "notes.db").unlink(missing_ok=True)
    with closing(Audit(DataFolder(folder), scratch, given)) as audit:
        return list(audit.findings(no_progress))


@contextmanager
def without_triggers(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file without its triggers, and make them again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        triggers = db.execute(query).fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        yield db
        for _, sql in triggers:
            db.execute(sql)


def tamper(folder: Path, chance: Random) -> str:
    """Make one random change that SQLite accepts, or one of a pack; return its description."""
    if chance.random() < 0.1:
        return flip_pack(folder, chance)
    while True:
        table = chance.choice(LOG_TABLES)
        change = chance.choice((flip, drop, swap, insert))
        with without_triggers(folder / "ledger.db") as db:
            before = _dump(db, table)
            try:
                change(db, table, chance)
            except sqlite3.IntegrityError:
                continue
            if _dump(db, table) != before:
                return f"{change.__name__} in {table}"


def flip_pack(folder: Path, chance: Random) -> str:
    """Change one bit of a pack, which has records with places only."""
    pack = chance.choice(sorted((folder / "content" / "packs").iterdir()))
    data = bytearray(pack.read_bytes())
    at = chance.randrange(len(data))
    data[at] ^= 1 << chance.randrange(8)
    pack.write_bytes(data)
    return f"flip at {at} of {pack.name}"


def flip(db: sqlite3.Connection, table: str, chance: Random) -> None:
    """Change one value of one row."""
    where, row = _row(db, table, chance)
    column = chance.choice(list(row))
    _set(db, table, where, column, _other(row[column], chance))


def drop(db: sqlite3.Connection, table: str, chance: Random) -> None:
    """Delete a row."""
    where, _ = _row(db, table, chance)
    db.execute(f"DELETE FROM {table} WHERE {_all(where)}", list(where.values()))


def swap(db: sqlite3.Connection, table: str, chance: Random) -> None:
    """Swap one column of two rows, or, for the column rowid, the two rows."""
    (one, first), (other, second) = _row(db, table, chance), _row(db, table, chance)
    column = chance.choice(list(first))
    if column in one and column != "rowid":
        return
    spare = {**one, column: -1} if column == "rowid" else one
    if column == "rowid":
        _set(db, table, one, column, -1)
        _set(db, table, other, column, first[column])
        _set(db, table, spare, column, second[column])
    else:
        _set(db, table, one, column, second[column])
        _set(db, table, other, column, first[column])


def insert(db: sqlite3.Connection, table: str, chance: Random) -> None:
    """Insert a copy of a row with some values changed."""
    _, row = _row(db, table, chance)
    for column in chance.sample(list(row), chance.randint(1, len(row))):
        row[column] = _other(row[column], chance)
    names, marks = ", ".join(row), ", ".join("?" for _ in row)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


Where = dict[str, Any]


def _row(db: sqlite3.Connection, table: str, chance: Random) -> tuple[Where, dict[str, Any]]:
    """Return a condition that selects one random row, and the row."""
    with_rowid = table == "stored_events"
    columns = "rowid, *" if with_rowid else "*"
    rows = db.execute(f"SELECT {columns} FROM {table}")
    names = [name for name, *_ in rows.description]
    row = dict(zip(names, chance.choice(rows.fetchall()), strict=True))
    return ({"rowid": row["rowid"]} if with_rowid else dict(row)), row


def _set(db: sqlite3.Connection, table: str, where: Where, column: str, value: Any) -> None:
    db.execute(f"UPDATE {table} SET {column} = ? WHERE {_all(where)}", [value, *where.values()])


def _all(where: Where) -> str:
    return " AND ".join(f"{name} = ?" for name in where)


def _other(value: Any, chance: Random) -> Any:
    """Return a similar value, sometimes of another type."""
    if isinstance(value, int):
        return chance.choice((value + 1, value - 1, value + 2**40, -value))
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    at = chance.randrange(len(text))
    changed = text[:at] + chr(ord(text[at]) ^ 1 << chance.randrange(5)) + text[at + 1 :]
    kinds: list[Callable[[], Any]] = [
        lambda: changed.encode("latin-1") if isinstance(value, bytes) else changed,
        lambda: value.decode("latin-1") if isinstance(value, bytes) else value.encode(),
    ]
    return chance.choice(kinds)()


def _dump(db: sqlite3.Connection, table: str) -> list[Any]:
    columns = "rowid, *" if table == "stored_events" else "*"
    return sorted(map(repr, db.execute(f"SELECT {columns} FROM {table}")))
