"""Tables in SQLite: a file for each part of a generation, `projections.g<N>.db` and
`projections.g<N>.<part>.db`.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.ledger.storage.readers import AsyncSqliteReaders
from asset_ledger.ledger.storage.sqlite import (
    BESIDE,
    expect_groups,
    insert_rows,
    is_statement_error,
    open_reader,
    open_writer,
    read_only,
    spell_out,
    storage_error,
    transaction,
)
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.store import (
    BOOKKEEPING,
    CREATE,
    Columns,
    Database,
    State,
    TextIndexKind,
)

_NAME: Final = re.compile(r"projections\.g([1-9][0-9]*)\.db", re.ASCII)
_FILE: Final = re.compile(
    rf"projections\.g([1-9][0-9]*)\.(?:\w+\.)?db(?:{'|'.join(BESIDE)})?", re.ASCII
)
_INDEXES: Final = """SELECT name, sql FROM sqlite_master
    WHERE type = 'index' AND sql LIKE 'CREATE INDEX %'  -- one that is unique decides over rows
"""
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


class SqliteDatabase(Database):
    """A file of tables, open for writing, with the SQL functions of its projections."""

    errors = (sqlite3.Error,)

    def __init__(
        self, folder: Path, number: int, projections: Sequence[Projection], part: str = ""
    ) -> None:
        super().__init__(number, part, projections)
        self.path = path_of(folder, number, part)
        self.name, self.location = self.path.name, read_only(self.path)
        if not self.path.exists():
            delete(self.path)  # SQLite would replay a WAL left by a deleted file into this one
        self.write: sqlite3.Connection = open_writer(self.path, "NORMAL")
        try:
            self._prepare()
            with self.transaction() as db:
                for statement in CREATE:
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
    def in_transaction(self) -> bool:
        """Whether a transaction is under way."""
        return self.write.in_transaction

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Commit at the end of the block. On an error, roll back and reraise it."""
        return transaction(self.write)

    def insert(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each of many rows, in order."""
        insert_rows(self.write, sql, rows)

    def columns(self, table: str) -> Columns:
        """Return the columns of a table; no columns if there is no such table."""
        return columns_of(self.write, "main", table)

    def empty(self) -> None:
        """Delete all rows and positions, as part of the caller's transaction."""
        for _, table, kind, *_ in self.write.execute("PRAGMA main.table_list").fetchall():
            if kind == "virtual":  # a full-text index: DELETE does not work on it
                self.write.execute(f'INSERT INTO "{table}" ("{table}") VALUES (\'delete-all\')')
            elif kind == "table" and table not in BOOKKEEPING and not table.startswith("sqlite_"):
                self.write.execute(f'DELETE FROM "{table}"')
        self.write.execute("DELETE FROM positions")

    def indexes(self) -> list[tuple[str, str]]:
        """Return the name and the SQL of each index that is not unique."""
        return self.write.execute(_INDEXES).fetchall()

    def is_statement_error(self, error: Exception) -> bool:
        """Return whether the statement or its parameters are wrong: a retry cannot help."""
        return isinstance(error, sqlite3.Error) and is_statement_error(error)

    def failure(self, error: Exception) -> StorageFailedError:
        """Return the error for the caller of a write that failed."""
        return storage_error(error)

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


_OF_A_VIRTUAL_TABLE: Final = 1
"""How `table_xinfo` marks the hidden columns of a full-text index; 2 marks a generated column."""

_SHADOWS: Final = ("_content", "_docsize")
"""Suffixes of the tables behind a full-text index whose rows depend on the documents alone. The
rows of its other tables also depend on the order of writes."""


class TwoFiles:
    """A file in use, and the built file, attached. See `SideBySide`."""

    before, after, differs = "main", "next", "IS NOT"

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def begin(self) -> None:
        """Begin a read transaction, until the connection closes."""
        self.db.execute("BEGIN")

    def columns(self, schema: str, table: str) -> Columns:
        """Return the columns of a table; no columns if there is no such table."""
        return columns_of(self.db, schema, table)

    def tables(self, schema: str) -> set[str]:
        """Return the tables whose rows depend on the events alone."""
        listed = self.db.execute(f"PRAGMA {schema}.table_list").fetchall()
        return {
            name
            for _, name, kind, *_ in listed
            if name not in BOOKKEEPING
            and not name.startswith("sqlite_")
            and (kind == "table" or (kind == "shadow" and name.endswith(_SHADOWS)))
        }

    def text_indexes(self, schema: str) -> set[str]:
        """Return the names of the full-text indexes."""
        return full_text_indexes(self.db, schema)


class TableFiles:
    """The generations in a data folder. See `TableStore` for the methods."""

    errors = (sqlite3.DatabaseError,)
    no_packages: str | None = None
    text_index: TextIndexKind = "fts5"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_corrupt(self, error: object) -> bool:
        """Return whether an error is SQLITE_CORRUPT or SQLITE_NOTADB."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

    def path(self, number: int, part: str = "") -> Path:
        """Return the file of a part."""
        return path_of(self.folder, number, part)

    def name(self, number: int, part: str = "") -> str:
        """Return the name of the file of a part."""
        return self.path(number, part).name

    def numbers(self) -> list[int]:
        """Return the numbers of the generations, in order."""
        names = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def is_ready(self, number: int) -> bool:
        """Return whether the state of a file is `ready`. A server may have it open."""
        try:
            with self.reading(number) as db:
                return db.execute("SELECT state FROM generation").fetchall() == [("ready",)]
        except sqlite3.DatabaseError:
            return False  # an unreadable file is not in use: a start rebuilds it

    def state_of(self, number: int) -> State:
        """Return the state of a generation that no other process has open."""
        try:
            with closing(self.open(number, ())) as database:
                return database.state
        except sqlite3.DatabaseError as error:
            if not self.is_corrupt(error):
                raise
            return "unreadable"  # the tables are rebuilt from the log

    def has(self, number: int, part: str = "") -> bool:
        """Return whether there is such a file."""
        return self.path(number, part).exists()

    def open(
        self, number: int, projections: Sequence[Projection], part: str = ""
    ) -> SqliteDatabase:
        """Open a file to write, made if absent."""
        return SqliteDatabase(self.folder, number, projections, part)

    @contextmanager
    def reading(self, number: int, part: str = "") -> Iterator[SqlConnection]:
        """Read a file in one transaction until the block ends."""
        with closing(open_reader(self.path(number, part))) as db:
            db.execute("BEGIN")
            yield db

    @contextmanager
    def comparing(self, number: int, part: str, built: Database) -> Iterator[TwoFiles]:
        """Read a file beside a built file."""
        with closing(open_reader(self.path(number, part))) as db:
            db.text_factory = spell_out
            db.execute("PRAGMA query_only=OFF")  # `temp` needs it; both files stay read-only
            db.execute("ATTACH ? AS next", (built.location,))
            yield TwoFiles(db)

    def readers(self, number: int, part: str = "") -> AsyncSqliteReaders:
        """Return readers of a file for an event loop."""
        return AsyncSqliteReaders(self.path(number, part))

    def remove(self, number: int) -> None:
        """Delete a generation, its main file first, so that a kill leaves no usable generation."""
        parts = self.folder.glob(f"projections.g{number}.*.db")
        for path in (self.path(number), *parts):
            delete(path)

    def remove_part(self, number: int, part: str) -> None:
        """Delete one file, which can be filled again."""
        delete(self.path(number, part))

    def remove_strays(self) -> None:
        """Delete the files of generations without a main file, left by an interrupted `remove`."""
        known = self.numbers()
        for path in self.folder.iterdir():
            match = _FILE.fullmatch(path.name)
            if match and int(match[1]) not in known:
                path.unlink(missing_ok=True)

    is_shared = False

    def starting(self) -> AbstractContextManager[None]:
        """Do nothing: one server has the folder."""
        return nullcontext()

    def building(self) -> AbstractContextManager[None]:
        """Do nothing: one server has the folder."""
        return nullcontext()

    def next_number(self) -> int:
        """Return a number for a generation that none had before."""
        return max(self.numbers(), default=0) + 1

    def take_over(self, before: Database, after: Database, *, retire: bool) -> None:
        """Put a generation in use in place of `before`."""
        if retire:
            before.declare("retired")
        else:
            after.declare("ready")

    def close(self) -> None:
        """Do nothing: no method leaves a connection open."""


def columns_of(db: SqlConnection, schema: str, table: str) -> Columns:
    """Return the columns of a table; no columns if there is no such table."""
    info = db.execute(f'PRAGMA {schema}.table_xinfo("{table}")').fetchall()
    found = [(name, rank) for _, name, *_, rank, hidden in info if hidden != _OF_A_VIRTUAL_TABLE]
    ranked = sorted((rank, name) for name, rank in found if rank)
    return Columns([name for name, _ in found], [name for _, name in ranked])


def full_text_indexes(db: SqlConnection, schema: str = "main") -> set[str]:
    """Return the names of the full-text indexes of a file."""
    listed = db.execute(f"PRAGMA {schema}.table_list").fetchall()
    return {name for _, name, kind, *_ in listed if kind == "virtual"}


def delete(path: Path) -> None:
    """Delete a database, its WAL last: a database without its WAL may be corrupt."""
    for suffix in ("", *BESIDE):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def path_of(folder: Path, number: int, part: str = "") -> Path:
    """Return the path of a generation's main file, or of the file of the projection `part`."""
    return folder / (f"projections.g{number}.{part}.db" if part else f"projections.g{number}.db")
