"""The files of a generation of tables: `projections.g<N>.db`, which stores its own state.

The highest generation that is `ready` is in use. The next start finishes or deletes a generation
that is not ready yet. Numbers are never reused.

Each projection that follows the log has a file of its own, `projections.g<N>.<name>.db`. It belongs
to generation N and can be rebuilt alone.
"""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

from asset_ledger.ledger.storage.sqlite import (
    BESIDE,
    expect_groups,
    open_reader,
    open_writer,
    transaction,
)
from asset_ledger.projections.projection import Projection

State = Literal["building", "filling", "ready", "retired", "unreadable"]

_NAME: Final = re.compile(r"projections\.g([1-9][0-9]*)\.db", re.ASCII)
_FILE: Final = re.compile(
    rf"projections\.g([1-9][0-9]*)\.(?:\w+\.)?db(?:{'|'.join(BESIDE)})?", re.ASCII
)

BOOKKEEPING: Final = (
    *("generation", "positions", "schema_migrations", "expanded_migrations"),
    "deferred_indexes",
)
_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS generation (state TEXT NOT NULL)",
    "INSERT INTO generation SELECT 'building' WHERE NOT EXISTS (SELECT 1 FROM generation)",
    """
    CREATE TABLE IF NOT EXISTS positions (
        projection TEXT PRIMARY KEY, position INTEGER NOT NULL, log_id TEXT NOT NULL,
        leaf BLOB NOT NULL  -- leaf hash of the event at that position
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        name TEXT PRIMARY KEY, applied_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS expanded_migrations (
        name TEXT PRIMARY KEY  -- the table was changed, its older rows were not
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS deferred_indexes (
        name TEXT PRIMARY KEY, sql TEXT NOT NULL  -- taken away to be made when the rows are there
    )
    """,
)
_CACHE_PRAGMAS: Final = (
    "PRAGMA cache_size=-32000",  # KiB: the inner pages of nine indexes over a million rows
)

_UNSAFE_PRAGMAS: Final = (
    "PRAGMA journal_mode=MEMORY",
    "PRAGMA synchronous=OFF",
    "PRAGMA secure_delete=OFF",
)
_SAFE_PRAGMAS: Final = (
    "PRAGMA secure_delete=ON",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA shrink_memory",  # else each finished file keeps its cache while others are filled
)


class Database:
    """A file of tables, open for writing, with the SQL functions of its projections.

    `part` is the name of the projection that fills it alone; `""` is the generation's main file,
    with the tables of assets and jobs.
    """

    def __init__(
        self, folder: Path, number: int, projections: Sequence[Projection], part: str = ""
    ) -> None:
        self.number = number
        self.path = path_of(folder, number, part)
        self.projections = tuple(projections)
        if not self.path.exists():
            delete(self.path)  # SQLite would replay a WAL left by a deleted file into this one
        self.write = open_writer(self.path, "NORMAL")
        try:
            self._prepare()
            with transaction(self.write) as db:
                for statement in _CREATE:
                    db.execute(statement)
        except BaseException:
            self.write.close()
            raise

    def _prepare(self) -> None:
        for pragma in _CACHE_PRAGMAS:
            self.write.execute(pragma)
        for projection in self.projections:
            for name, function in projection.functions.items():
                self.write.create_function(name, -1, function, deterministic=True)

    @property
    def state(self) -> State:
        """The state that is stored in the file."""
        (state,) = self.write.execute("SELECT state FROM generation").fetchone()
        return state  # type: ignore[no-any-return]

    @property
    def tables(self) -> dict[str, sqlite3.Connection]:
        """The tables that the digest covers, each with the connection to read it."""
        return {table: self.write for each in self.projections for table in each.tables}

    @property
    def applied(self) -> set[str]:
        """The names of the migrations that are applied to the schema and to all rows."""
        return {name for (name,) in self.write.execute("SELECT name FROM schema_migrations")}

    @property
    def expanded(self) -> set[str]:
        """The names of the migrations that changed the schema but not the older rows."""
        return {name for (name,) in self.write.execute("SELECT name FROM expanded_migrations")}

    @property
    def revision(self) -> str:
        """The name of the last migration that was applied; `""` if none was."""
        (revision,) = self.write.execute("SELECT max(name) FROM schema_migrations").fetchone()
        return revision or ""

    def mark(self, state: State) -> None:
        """Store a state, as part of the caller's transaction if there is one."""
        self.write.execute("UPDATE generation SET state = ?", (state,))

    def declare(self, state: State) -> None:
        """Store a state in a transaction of its own."""
        with transaction(self.write):
            self.mark(state)

    def expect_groups(self) -> None:
        """Tune the connection for the small transactions of group commits."""
        expect_groups(self.write)

    def begin_bulk_fill(self) -> None:
        """Turn crash safety off until `end_bulk_fill`: a kill may corrupt the file, and the state
        `filling` makes the next start delete it. No other connection may be open."""
        self.declare("filling")
        for pragma in _UNSAFE_PRAGMAS:
            self.write.execute(pragma)

    def end_bulk_fill(self) -> None:
        """Turn crash safety on: the file is durable before its state is `building` again."""
        self.write.execute("PRAGMA synchronous=FULL")
        self.declare("building")
        for pragma in _SAFE_PRAGMAS:
            self.write.execute(pragma)

    def close(self) -> None:
        """Close the connection, which checkpoints the WAL."""
        self.write.close()


def open_current(
    folder: Path, projections: Sequence[Projection], *, keep_others: bool = False
) -> Database:
    """Open the highest generation that is ready; else the highest that is building, else a new one.

    Removes the files that an interrupted rebuild left, and generations older than the previous one.
    `keep_others`: remove nothing if there is a generation in use, since a rebuild may be running.
    """
    if keep_others and (number := in_use(folder)) is not None:
        return Database(folder, number, projections)
    remove_strays(folder)
    states = {number: _state_of(folder, number, projections) for number in numbers(folder)}
    ready = [number for number, state in states.items() if state == "ready"]
    building = [number for number, state in states.items() if state == "building"]
    current = max(ready or building, default=max(states, default=0) + 1)
    kept = {current, *ready[-2:]}  # the previous generation: a rollback needs it
    for number, state in states.items():
        obsolete = number < max(ready, default=0) or state in ("building", "filling")
        obsolete |= state == "unreadable" and bool(ready)  # a build that was killed, or damage
        if obsolete and number not in kept:
            remove(folder, number)
    return Database(folder, current, projections)


def open_next(folder: Path, projections: Sequence[Projection]) -> Database:
    """Create the next generation: empty, in the state `building`."""
    return Database(folder, max(numbers(folder), default=0) + 1, projections)


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the generations in a folder, in order."""
    return sorted(int(m[1]) for path in folder.iterdir() if (m := _NAME.fullmatch(path.name)))


def in_use(folder: Path) -> int | None:
    """Return the number of the generation in use, or None. A server may have it open."""
    return next((n for n in reversed(numbers(folder)) if is_ready(path_of(folder, n))), None)


def is_ready(path: Path) -> bool:
    """Return whether the state of a file is `ready`. A server may have it open."""
    try:
        with closing(open_reader(path)) as db:
            return db.execute("SELECT state FROM generation").fetchall() == [("ready",)]
    except sqlite3.DatabaseError:
        return False  # an unreadable file is not in use: a start rebuilds it


def remove(folder: Path, number: int) -> None:
    """Delete a generation, its main file first, so that a kill leaves no usable generation."""
    for path in (path_of(folder, number), *folder.glob(f"projections.g{number}.*.db")):
        delete(path)


def remove_strays(folder: Path) -> None:
    """Delete the files of generations without a main file, left by an interrupted `remove`."""
    known = numbers(folder)
    for path in folder.iterdir():
        match = _FILE.fullmatch(path.name)
        if match and int(match[1]) not in known:
            path.unlink(missing_ok=True)


def delete(path: Path) -> None:
    """Delete a database, its WAL last: a database without its WAL may be corrupt."""
    for suffix in ("", *BESIDE):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def is_corrupt(error: object) -> bool:
    """Return whether an error is SQLITE_CORRUPT or SQLITE_NOTADB."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def path_of(folder: Path, number: int, part: str = "") -> Path:
    """Return the path of a generation's main file, or of the file of the projection `part`."""
    return folder / (f"projections.g{number}.{part}.db" if part else f"projections.g{number}.db")


def _state_of(folder: Path, number: int, projections: Sequence[Projection]) -> State:
    try:
        database = Database(folder, number, projections)
    except sqlite3.DatabaseError as error:
        if not is_corrupt(error):
            raise
        return "unreadable"  # the tables are rebuilt from the log
    try:
        return database.state
    finally:
        database.close()
