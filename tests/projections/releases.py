"""One log, and the files of tables that each earlier schema made of it, as SQL text.

`python -m tests.projections.releases` keeps what the schema of today makes, under the name of its
newest migration. It never rewrites a folder: an older one was made by the release of its time.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from asset_ledger.projections.runtime.database import in_use, path_of
from asset_ledger.projections.runtime.migrate import migrations_of, revision_of
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS
from asset_ledger.projections.runtime.start import follow, start
from tests.projections.world import world

RELEASED: Final = Path(__file__).with_name("released")
LOG: Final = RELEASED / "ledger.sql"
TABLES: Final = "tables"
_ORDER: Final = {"table": 0, "virtual": 1, "shadow": 2, "index": 3, "view": 4, "trigger": 5}
TODAY: Final = revision_of(migrations_of((*PROJECTIONS, *FOLLOWING)))

REVISIONS: Final = sorted(path.name for path in RELEASED.iterdir() if path.name[0] == "2")


def restore(revision: str, folder: Path) -> None:
    """Put the log in a folder, and the files that this schema made of it."""
    _load(LOG, folder / "ledger.db")
    for text in (RELEASED / revision).iterdir():
        _load(text, path_of(folder, 1, "" if text.stem == TABLES else text.stem))


def _load(text: Path, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(text.read_text("utf-8"))


def dump(path: Path) -> str:
    """The SQL that makes a database again: tables, rows, then what stands on them."""
    with closing(sqlite3.connect(path)) as db:
        return "BEGIN;\n" + "".join(f"{text};\n" for text in _statements(db)) + "COMMIT;\n"


def _statements(db: sqlite3.Connection) -> Iterator[str]:
    kinds = {name: kind for _, name, kind, *_ in db.execute("PRAGMA main.table_list")}
    made = db.execute("SELECT name, type, sql FROM sqlite_master WHERE sql NOT NULL").fetchall()
    made.sort(key=lambda each: (_ORDER[kinds.get(each[0], each[1])], each[0]))
    for name, kind, sql in made:
        if kinds.get(name) == "shadow":  # made along with the index of words that it belongs to
            yield f'DELETE FROM "{name}"'
        else:
            yield sql
        if kind == "table" and kinds[name] != "virtual":
            yield from _rows(db, name)


def _rows(db: sqlite3.Connection, table: str) -> Iterator[str]:
    columns = [name for _, name, *_ in db.execute(f'PRAGMA table_info("{table}")')]
    quoted = ", ".join(f'quote("{name}")' for name in columns)
    for row in db.execute(f'SELECT {quoted} FROM "{table}"'):
        yield f'INSERT INTO "{table}" VALUES ({", ".join(row)})'


def keep() -> None:
    """Keep the files of today's schema, unless they are kept already."""
    kept = RELEASED / TODAY
    if kept.exists():
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        _load(LOG, folder / "ledger.db")
        with world(folder) as here:
            start(folder, here.feed).close()
            for projection in FOLLOWING:
                follow(folder, in_use(folder) or 0, projection, here.feed).close()
        kept.mkdir()
        for part in (TABLES, *(each.name for each in FOLLOWING)):
            path = path_of(folder, 1, "" if part == TABLES else part)
            (kept / f"{part}.sql").write_text(dump(path), "utf-8")


if __name__ == "__main__":
    keep()
