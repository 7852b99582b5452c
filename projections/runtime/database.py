"""Generations of the projections: files `projections.g<N>.db`, each of which says its own state.

The highest that is ready is the one in use. A generation that is not ready yet is finished or
thrown away at the next start, never read as if it were whole; numbers are never used again.

Beside it stands a file for each projection that follows, `projections.g<N>.<name>.db`: it belongs
to its generation, and is disposable by itself.
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
_TUNING: Final = (
    "PRAGMA cache_size=-32000",  # KiB: the inner pages of nine indexes over a million rows
)

_HASTE: Final = (
    "PRAGMA journal_mode=MEMORY",
    "PRAGMA synchronous=OFF",
    "PRAGMA secure_delete=OFF",
)
_SAFETY: Final = (
    "PRAGMA secure_delete=ON",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA shrink_memory",  # or each file that is finished keeps its cache while others are made
)


class Database:
    """One file, opened by its one writer, with the SQL functions of its projections.

    `part` is the name of the projection that follows in it; without one, it is its generation.
    """

    def __init__(
        self, folder: Path, number: int, projections: Sequence[Projection], part: str = ""
    ) -> None:
        self.number = number
        self.path = path_of(folder, number, part)
        self.projections = tuple(projections)
        if not self.path.exists():
            delete(self.path)  # a WAL without its database would come to life in this one
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
        for pragma in _TUNING:
            self.write.execute(pragma)
        for projection in self.projections:
            for name, function in projection.functions.items():
                self.write.create_function(name, -1, function, deterministic=True)

    @property
    def state(self) -> State:
        """What the file says of itself."""
        (state,) = self.write.execute("SELECT state FROM generation").fetchone()
        return state  # type: ignore[no-any-return]

    @property
    def tables(self) -> dict[str, sqlite3.Connection]:
        """What the digest is over: the projections' tables, and where to read them."""
        return {table: self.write for each in self.projections for table in each.tables}

    @property
    def applied(self) -> set[str]:
        """The names of the migrations that its schema and all its rows have."""
        return {name for (name,) in self.write.execute("SELECT name FROM schema_migrations")}

    @property
    def expanded(self) -> set[str]:
        """The names of those that its schema has, and its older rows have not."""
        return {name for (name,) in self.write.execute("SELECT name FROM expanded_migrations")}

    @property
    def revision(self) -> str:
        """The name of the last migration that was applied: what the schema is called."""
        (revision,) = self.write.execute("SELECT max(name) FROM schema_migrations").fetchone()
        return revision or ""

    def mark(self, state: State) -> None:
        """Say it in the file. Within a transaction it holds once that commits."""
        self.write.execute("UPDATE generation SET state = ?", (state,))

    def declare(self, state: State) -> None:
        """Say it in the file, and make that last."""
        with transaction(self.write):
            self.mark(state)

    def expect_groups(self) -> None:
        """Take small transactions from here on, where large ones made the tables before."""
        expect_groups(self.write)

    def begin_bulk_fill(self) -> None:
        """Be filled as fast as can be: until it is secured, a kill or a power cut wrecks the file,
        and whoever finds it `filling` throws it away. Nobody else may have it open."""
        self.declare("filling")
        for pragma in _HASTE:
            self.write.execute(pragma)

    def end_bulk_fill(self) -> None:
        """End the haste: whatever is in the file is on the disk before it says `building` again."""
        self.write.execute("PRAGMA synchronous=FULL")
        self.declare("building")
        for pragma in _SAFETY:
            self.write.execute(pragma)

    def close(self) -> None:
        """Close the write connection, which checkpoints the file."""
        self.write.close()


def open_current(
    folder: Path, projections: Sequence[Projection], *, keep_others: bool = False
) -> Database:
    """The highest generation that is ready; else one whose building goes on, at worst a new one.

    Removes what an interrupted rebuild left behind, unless `keep_others`: what it made, and what it
    made needless.
    """
    if keep_others and (number := in_use(folder)) is not None:
        return Database(folder, number, projections)
    remove_strays(folder)
    states = {number: _state_of(folder, number, projections) for number in numbers(folder)}
    ready = [number for number, state in states.items() if state == "ready"]
    building = [number for number, state in states.items() if state == "building"]
    current = max(ready or building, default=max(states, default=0) + 1)
    kept = {current, *ready[-2:]}  # a rollback goes back to the one before
    for number, state in states.items():
        outlived = number < max(ready, default=0) or state in ("building", "filling")
        if outlived and number not in kept:
            remove(folder, number)
    return Database(folder, current, projections)


def open_next(folder: Path, projections: Sequence[Projection]) -> Database:
    """A new generation, empty and building, above every other."""
    return Database(folder, max(numbers(folder), default=0) + 1, projections)


def numbers(folder: Path) -> list[int]:
    """The generations in a folder, in order."""
    return sorted(int(m[1]) for path in folder.iterdir() if (m := _NAME.fullmatch(path.name)))


def in_use(folder: Path) -> int | None:
    """The generation that is read, as a bystander sees it; None if there is none."""
    return next((n for n in reversed(numbers(folder)) if is_ready(path_of(folder, n))), None)


def is_ready(path: Path) -> bool:
    """Whether a file says that it is whole. It is only read, so that its server may run."""
    try:
        with closing(open_reader(path)) as db:
            return db.execute("SELECT state FROM generation").fetchall() == [("ready",)]
    except sqlite3.DatabaseError:
        return False  # what cannot be read is not in use: a start makes it anew


def remove(folder: Path, number: int) -> None:
    """Delete a generation's files, the one that says its state first."""
    for path in (path_of(folder, number), *folder.glob(f"projections.g{number}.*.db")):
        delete(path)


def remove_strays(folder: Path) -> None:
    """Delete what is left of generations whose own file is gone: their removal was interrupted."""
    known = numbers(folder)
    for path in folder.iterdir():
        match = _FILE.fullmatch(path.name)
        if match and int(match[1]) not in known:
            path.unlink(missing_ok=True)


def delete(path: Path) -> None:
    """Delete a database, itself before its WAL: without that it may be a wreck."""
    for suffix in ("", *BESIDE):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def is_wreck(error: object) -> bool:
    """Whether SQLite says of a file that it is no database, or one that contradicts itself."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def path_of(folder: Path, number: int, part: str = "") -> Path:
    """Where a generation is kept, or what a projection that follows in it keeps."""
    return folder / (f"projections.g{number}.{part}.db" if part else f"projections.g{number}.db")


def _state_of(folder: Path, number: int, projections: Sequence[Projection]) -> State:
    try:
        database = Database(folder, number, projections)
    except sqlite3.DatabaseError as error:
        if not is_wreck(error):
            raise
        return "unreadable"  # projections are disposable: the events make another one
    try:
        return database.state
    finally:
        database.close()
