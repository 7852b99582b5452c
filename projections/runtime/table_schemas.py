"""Tables in PostgreSQL: a schema for each part of a generation, `g<N>` and `g<N>_<part>`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, Final

import psycopg

from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.log.postgres import APPEND_LOCK
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.ledger.storage.postgres import (
    FROZEN,
    IDLE,
    LOG,
    READING,
    PostgresConnection,
    PostgresReaders,
    is_lost,
    is_statement_error,
    storage_error,
    writing,
)
from asset_ledger.ledger.storage.postgres_locks import waiting
from asset_ledger.ledger.storage.postgres_readers import AsyncPostgresReaders
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.schema_catalog import (
    columns_of,
    indexes_of,
    tables_of,
    types_of,
)
from asset_ledger.projections.runtime.store import (
    BOOKKEEPING,
    CREATE,
    Columns,
    Database,
    State,
    TextIndexKind,
    changed_meanwhile,
)
from asset_ledger.projections.tables.postgres_search import PostgresSearch

NO_PACKAGES: Final = "it has no postgresql = True, and this ledger is in PostgreSQL"

START_LOCK: Final = APPEND_LOCK + 2
BUILD_LOCK: Final = APPEND_LOCK + 3
_LOCK: Final = "SELECT pg_advisory_xact_lock(?)"
_IN_USE: Final = "SELECT generation FROM in_use"
_TRY_LOCK: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended(?, 0))"
_NEXT: Final = "SELECT nextval('generations')"

_SCHEMAS: Final = "SELECT nspname FROM pg_namespace WHERE nspname ~ ?"
_MAIN: Final = re.compile(r"g([1-9][0-9]*)")
_PART: Final = re.compile(r"(g[1-9][0-9]*)_\w+")
_INSERT: Final = re.compile(
    r"\s*INSERT INTO (\w+)(?:\s+\(([\w,\s]+)\))?\s+VALUES \(\?(?:, \?)*\)\s*"
)
_REWRITE: Final = re.compile(
    r"UPDATE (\w+) SET (\w+) = (\w+)\(([\w,\s?]+)\)((?:, \w+ = \?)*) WHERE id = \?"
)
_BY_SEQ: Final = re.compile(
    r"(CREATE INDEX \w+\s+ON (?:assets|catalog|search_assets|usage_assets) \(.*?)\)"
    r"(?=\s+WHERE|\s*$)",
    re.DOTALL,
)
"""Indexes that end with the row id in SQLite without naming it."""


class _Migrating:
    """The connection for migrations: their indexes end with `seq`."""

    def __init__(self, db: PostgresConnection) -> None:
        self._db = db

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        return self._db.execute(_BY_SEQ.sub(r"\1, seq)", sql), parameters)


class PostgresDatabase(Database):
    """A schema of tables, open for writing."""

    errors = (psycopg.Error,)
    is_shared = True

    def __init__(
        self, store: "TableSchemas", number: int, projections: Sequence[Projection], part: str
    ) -> None:
        own = [PostgresSearch() if each.name == "search" else each for each in projections]
        super().__init__(number, part, own)
        self._store, self._types = store, dict[str, dict[str, str]]()
        self.name = self.location = store.name(number, part)
        self.write: PostgresConnection = PostgresConnection(store.url, (self.name, LOG))
        self._is_shared = False
        self._functions = {n: f for each in own for n, f in each.functions.items()}
        with self.transaction() as db:
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {self.name}")
            for statement in CREATE:
                db.execute(statement)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is under way."""
        return self.write.in_transaction

    def transaction(self) -> AbstractContextManager[PostgresConnection]:
        """Commit at the end of the block; in the transaction of a group, with that group."""
        return self.write.transaction()

    def migrating(self) -> SqlConnection:
        """Return the connection for migrations."""
        return _Migrating(self.write)

    def run(self, sql: str, parameters: Sequence[Any]) -> None:
        """Run a statement of a projection. A function of the projection is called here."""
        rewrite = _REWRITE.fullmatch(sql.strip())
        if rewrite is None or rewrite[3] not in self._functions:
            self.write.execute(sql, parameters)
            return
        table, column, function, arguments, setters = rewrite.groups()
        names = arguments.split(", ")
        given, rest = parameters[: names.count("?")], parameters[names.count("?") :]
        wanted = ", ".join(name for name in names if name != "?")
        found = f"SELECT {wanted} FROM {table} WHERE id = ?"
        for row in self.write.execute(found, parameters[-1:]).fetchall():
            ours, theirs = iter(given), iter(row)
            value = self._functions[function](*(next(ours if n == "?" else theirs) for n in names))
            sql = f"UPDATE {table} SET {column} = ?{setters} WHERE id = ?"
            self.write.execute(sql, (value, *rest))

    def insert(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each of many rows, in order."""
        plain = _INSERT.fullmatch(sql)
        if plain is None:
            self.write.execute_many(sql, rows)
            return
        types = self._types_of(plain[1])
        names = [name.strip() for name in plain[2].split(",")] if plain[2] else [*types]
        marks = ", ".join(f"?::{types[name]}[]" for name in names)
        columns = [list(column) for column in zip(*rows, strict=True)]
        into = f"INSERT INTO {plain[1]} ({', '.join(names)})"
        self.write.execute(f"{into} SELECT * FROM unnest({marks})", columns)

    def stream(self, sql: str) -> Iterator[Any]:
        """Yield the rows of a statement, a page at a time."""
        for page in self.write.pages(sql):
            yield from page

    def _types_of(self, table: str) -> dict[str, str]:
        if table not in self._types:
            self._types[table] = types_of(self.write, self.name, table)
        return self._types[table]

    def columns(self, table: str) -> Columns:
        """Return the columns of a table; no columns if there is no such table."""
        return columns_of(self.write, self.name, table)

    def empty(self) -> None:
        """Delete all rows and positions, as part of the caller's transaction."""
        for table in tables_of(self.write, self.name):
            if table not in BOOKKEEPING or table == "positions":
                self.write.execute(f'DELETE FROM "{table}"')

    def indexes(self) -> list[tuple[str, str]]:
        """Return the name and the SQL of each index that is not unique."""
        return indexes_of(self.write, self.name)

    def is_statement_error(self, error: Exception) -> bool:
        """Return whether the statement or its parameters are wrong: a retry cannot help."""
        return is_statement_error(error)

    def failure(self, error: Exception) -> StorageFailedError:
        """Return the error for the caller of a write that failed."""
        return storage_error(error)

    def expect_groups(self) -> None:
        """Use the connection of the log from now on: one transaction has events and rows."""
        if self._store.committing is not None and not self._is_shared:
            self.write.close()
            self.write, self._is_shared = self._store.committing, True
            self.write.use((self.name, LOG))

    def begin_bulk_fill(self) -> None:
        """Wait for no disk until `end_bulk_fill`: a crash of the database leaves `filling`."""
        self.declare("filling")
        self.write.execute("SET synchronous_commit = off")
        self.write.execute(f"SET {IDLE} = '{READING}'")  # no other server waits for it

    def end_bulk_fill(self) -> None:
        """Wait for the disk again, with the state `building`."""
        self.write.execute("SET synchronous_commit = on")
        self.declare("building")
        schemas = (self.name,) if self.part else (self.name, LOG)  # a copied log has no statistics
        for schema in schemas:
            tables = sorted(tables_of(self.write, schema))
            self.write.execute(f"ANALYZE {', '.join(f'{schema}.{table}' for table in tables)}")

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Keep other servers from filling these tables until the block ends.

        Tables of a group commit wait for their turn; the others leave it to the other server.
        """
        with self.write.transaction() as db:
            db.execute(f"SET LOCAL {IDLE} = '{FROZEN}'")
            if self.part:
                yield bool(db.execute(_TRY_LOCK, (self.name,)).fetchone()[0])
                return
            if db.execute(_IN_USE).fetchone() == (self.number,):
                db.execute(_LOCK, (APPEND_LOCK,))
            yield True

    def is_lost(self, error: Exception) -> bool:
        """Return whether the database is away, or another server has a lock for too long: a later
        turn tries again."""
        is_locked = isinstance(error, psycopg.errors.LockNotAvailable)
        return is_locked or is_lost(error) or isinstance(error, StorageFailedError)

    def reconnect(self) -> None:
        """Connect again if the connection was lost."""
        if self.write.is_lost:
            self.write.reopen()

    def close(self) -> None:
        """Close the connection, unless it is the log's."""
        if not self._is_shared:
            self.write.close()


class _TwoSchemas:
    """A schema in use, and a built one. See `SideBySide`."""

    differs = "IS DISTINCT FROM"

    def __init__(self, db: PostgresConnection, before: str, after: str) -> None:
        self.db, self.before, self.after = db, before, after

    def begin(self) -> None:
        """Begin a read transaction, until the connection closes."""
        self.db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")

    def columns(self, schema: str, table: str) -> Columns:
        """Return the columns of a table; no columns if there is no such table."""
        return columns_of(self.db, schema, table)

    def tables(self, schema: str) -> set[str]:
        """Return the tables whose rows depend on the events alone."""
        return tables_of(self.db, schema) - {*BOOKKEEPING}

    def text_indexes(self, schema: str) -> set[str]:
        """Return no names: the indexes are not tables."""
        return set()


class TableSchemas:
    """The generations in a database. See `TableStore` for the methods.

    `committing`: the connection of the log, for the tables that a group commit fills.
    """

    errors = (psycopg.Error,)
    no_packages: str | None = NO_PACKAGES
    text_index: TextIndexKind = "trigrams"
    is_shared = True

    def __init__(self, url: str, committing: PostgresConnection | None = None) -> None:
        self.url, self.committing = url, committing
        self._readers = PostgresReaders(url)

    def is_corrupt(self, error: object) -> bool:
        """Return False: PostgreSQL's own tools repair a damaged database."""
        return False

    def name(self, number: int, part: str = "") -> str:
        """Return the schema of a part."""
        return f"g{number}_{part}" if part else f"g{number}"

    def _schemas(self, pattern: str) -> list[str]:
        return [name for (name,) in self._readers.rows(_SCHEMAS, (pattern,))]

    def numbers(self) -> list[int]:
        """Return the numbers of the generations, in order."""
        found = (_MAIN.fullmatch(name) for name in self._schemas("^g"))
        return sorted(int(name[1]) for name in found if name)

    def is_ready(self, number: int) -> bool:
        """Return whether the state of a generation is `ready`."""
        return self.state_of(number) == "ready"

    def state_of(self, number: int) -> State:
        """Return the state of a generation."""
        ((state,),) = self._readers.rows(f"SELECT state FROM {self.name(number)}.generation")
        return state  # type: ignore[no-any-return]

    def has(self, number: int, part: str = "") -> bool:
        """Return whether there is such a schema."""
        return bool(self._schemas(f"^{self.name(number, part)}$"))

    def open(
        self, number: int, projections: Sequence[Projection], part: str = ""
    ) -> PostgresDatabase:
        """Open a schema to write, made if absent."""
        return PostgresDatabase(self, number, projections, part)

    @contextmanager
    def reading(self, number: int, part: str = "") -> Iterator[SqlConnection]:
        """Read a schema in one transaction until the block ends."""
        name = self.name(number, part)
        with closing(PostgresConnection(self.url, (name, LOG), read_only=True)) as db:
            db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            yield db

    @contextmanager
    def comparing(self, number: int, part: str, built: Database) -> Iterator[_TwoSchemas]:
        """Read a schema beside a built one."""
        name = self.name(number, part)
        with closing(PostgresConnection(self.url, (name, LOG), read_only=True)) as db:
            yield _TwoSchemas(db, name, built.location)

    def readers(self, number: int, part: str = "") -> AsyncPostgresReaders:
        """Return readers of a schema for an event loop."""
        return AsyncPostgresReaders(self.url, (self.name(number, part), LOG))

    def remove(self, number: int) -> None:
        """Delete a generation, in one transaction."""
        self._drop(self._schemas(f"^g{number}(_|$)"))

    def remove_part(self, number: int, part: str) -> None:
        """Delete one schema, which can be filled again."""
        self._drop(self._schemas(f"^{self.name(number, part)}$"))

    def remove_strays(self) -> None:
        """Delete parts without a main schema."""
        found = self._schemas("^g")
        parts = ((name, _PART.fullmatch(name)) for name in found)
        self._drop([name for name, part in parts if part and part[1] not in found])

    def _drop(self, schemas: Sequence[str]) -> None:
        if schemas:
            with writing(self.url) as db:
                db.execute(f"DROP SCHEMA {', '.join(schemas)} CASCADE")

    def starting(self) -> AbstractContextManager[None]:
        """Keep other servers from opening tables at a start until the block ends."""
        return waiting(self.url, START_LOCK)

    def building(self) -> AbstractContextManager[None]:
        """Wait while another server builds tables, and keep others from it until the block ends."""
        return waiting(self.url, BUILD_LOCK)

    def next_number(self) -> int:
        """Return a number for a generation that none had before."""
        last = max(self.numbers(), default=0)
        with writing(self.url) as db:
            while (number := int(db.execute(_NEXT).fetchone()[0])) <= last:
                continue
        return number

    def served(self) -> int | None:
        """Return the generation that `put_in_use` stored last; None before the first."""
        rows = self._readers.rows(_IN_USE)
        return rows[0][0] if rows else None

    def put_in_use(self, number: int, served: int | None) -> bool:
        """Tell all servers which generation is in use, unless it is not `served` any more.

        Return whether it was stored.
        """
        with writing(self.url) as db:
            db.execute(_LOCK, (APPEND_LOCK,))
            if db.execute(_IN_USE).fetchall() != ([] if served is None else [(served,)]):
                return False
            db.execute("DELETE FROM in_use")
            db.execute("INSERT INTO in_use VALUES (?)", (number,))
            return True

    def take_over(self, before: Database, after: Database, *, retire: bool) -> None:
        """Put a generation in use in place of `before`, in one transaction."""
        changed, state = (before, "retired") if retire else (after, "ready")
        with writing(self.url) as db:
            db.execute(_LOCK, (APPEND_LOCK,))
            ((number,),) = db.execute(_IN_USE).fetchall()
            if number != before.number:
                raise changed_meanwhile(number)
            db.execute(f"UPDATE {changed.location}.generation SET state = ?", (state,))
            db.execute("UPDATE in_use SET generation = ?", (after.number,))

    def close(self) -> None:
        """Close the connections."""
        self._readers.close()
