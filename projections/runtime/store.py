"""Where tables are stored: the interface of an engine, and what is alike in each.

A generation is one complete set of tables; its number is never reused. The part `""` has the tables
of assets and jobs, and each projection that follows the log has a part of its own. Each part stores
its own state. The highest generation whose part `""` is `ready` is in use.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Literal, NamedTuple, Protocol

from asset_ledger.ledger.errors import GenerationError, StorageFailedError
from asset_ledger.ledger.storage.database import AsyncReaders, SqlConnection
from asset_ledger.projections.projection import Projection

State = Literal["building", "filling", "ready", "retired", "unreadable"]

TextIndexKind = Literal["fts5", "trigrams"]

BOOKKEEPING: Final = (
    *("generation", "positions", "schema_migrations", "expanded_migrations"),
    "deferred_indexes",
)
CREATE: Final = (
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


class Columns(NamedTuple):
    """The columns of a table, and those of its primary key, both in order."""

    names: list[str]
    key: list[str]


class Database(ABC):
    """One part of a generation, open for writing, for one thread at a time."""

    errors: tuple[type[Exception], ...]
    """What statements raise."""
    name: str
    """The name of this part in reports."""
    location: str
    """Where `TableStore.comparing` finds this part."""
    write: SqlConnection
    is_shared = False
    """Whether other servers may fill these tables, too."""

    def __init__(self, number: int, part: str, projections: Sequence[Projection]) -> None:
        self.number, self.part, self.projections = number, part, tuple(projections)

    @property
    def state(self) -> State:
        """The state that is stored with the tables."""
        (state,) = self.write.execute("SELECT state FROM generation").fetchone()
        return state  # type: ignore[no-any-return]

    @property
    def tables(self) -> dict[str, "Database"]:
        """The tables that the digest covers, each with the database that has it."""
        return {table: self for each in self.projections for table in each.tables}

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
        with self.transaction():
            self.mark(state)

    @property
    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether a transaction is under way."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[SqlConnection]:
        """Commit at the end of the block. On an error, roll back and reraise it."""

    def migrating(self) -> SqlConnection:
        """Return the connection for migrations."""
        return self.write

    def run(self, sql: str, parameters: Sequence[Any]) -> None:
        """Run a statement of a projection, which may call the projection's functions."""
        self.write.execute(sql, parameters)

    @abstractmethod
    def insert(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each of many rows, in order."""

    def stream(self, sql: str) -> Iterator[Any]:
        """Yield the rows of a statement, of which few are in memory at once."""
        yield from self.write.execute(sql)

    @abstractmethod
    def columns(self, table: str) -> Columns:
        """Return the columns of a table; no columns if there is no such table."""

    @abstractmethod
    def empty(self) -> None:
        """Delete all rows and positions, as part of the caller's transaction."""

    @abstractmethod
    def indexes(self) -> list[tuple[str, str]]:
        """Return the name and the SQL of each index that is not unique."""

    @abstractmethod
    def is_statement_error(self, error: Exception) -> bool:
        """Return whether the statement or its parameters are wrong: a retry cannot help."""

    @abstractmethod
    def failure(self, error: Exception) -> StorageFailedError:
        """Return the error for the caller of a write that raised one of `errors`."""

    @abstractmethod
    def expect_groups(self) -> None:
        """Tune the connection for the small transactions of group commits."""

    @abstractmethod
    def begin_bulk_fill(self) -> None:
        """Turn crash safety off until `end_bulk_fill`: the state is `filling` meanwhile."""

    @abstractmethod
    def end_bulk_fill(self) -> None:
        """Make the rows durable; then the state is `building` again."""

    def is_lost(self, error: Exception) -> bool:
        """Return whether the database is away, or another server has a lock for too long: a later
        turn tries again."""
        return False

    def reconnect(self) -> None:
        """Connect again if the connection was lost."""
        return

    def exclusive(self) -> AbstractContextManager[bool]:
        """Keep other servers from filling these tables until the block ends.

        Yield whether the block may fill them: False if another server does so now.
        """
        return nullcontext(True)

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class SideBySide(Protocol):
    """A part of the generation in use, and a built one, on one connection that only reads."""

    @property
    def db(self) -> SqlConnection: ...

    @property
    def before(self) -> str:
        """The name of the schema in use, in SQL."""

    @property
    def after(self) -> str:
        """The name of the built schema, in SQL."""

    @property
    def differs(self) -> str:
        """The operator that is true for two values that differ, also if one is NULL."""

    def begin(self) -> None:
        """Begin a read transaction, until the connection closes."""

    def columns(self, schema: str, table: str) -> Columns:
        """Return the columns of a table; no columns if there is no such table."""

    def tables(self, schema: str) -> set[str]:
        """Return the tables whose rows depend on the events alone."""

    def text_indexes(self, schema: str) -> set[str]:
        """Return the names of the full-text indexes that are tables of their own."""


class TableStore(Protocol):
    """The generations of one ledger. `errors`: what reading and writing raise.

    `no_packages`: why projections with SQL for SQLite only cannot be used; None if they can.
    """

    @property
    def errors(self) -> tuple[type[Exception], ...]: ...

    @property
    def no_packages(self) -> str | None: ...

    @property
    def text_index(self) -> TextIndexKind:
        """How words are found; see `queries.text_index`."""

    def is_corrupt(self, error: object) -> bool:
        """Return whether an error means that the tables are damaged: they are built again."""

    def name(self, number: int, part: str = "") -> str:
        """Return the name of a part in reports."""

    def numbers(self) -> list[int]:
        """Return the numbers of the generations, in order."""

    def is_ready(self, number: int) -> bool:
        """Return whether a generation is `ready`, also while a server has it open."""

    def state_of(self, number: int) -> State:
        """Return the state of a generation that no other process has open."""

    def has(self, number: int, part: str = "") -> bool:
        """Return whether there is such a part."""

    def open(self, number: int, projections: Sequence[Projection], part: str = "") -> Database:
        """Open a part to write, made if absent."""

    def reading(self, number: int, part: str = "") -> AbstractContextManager[SqlConnection]:
        """Read a part in one transaction until the block ends."""

    def comparing(
        self, number: int, part: str, built: Database
    ) -> AbstractContextManager[SideBySide]:
        """Read a part beside the same part of a built generation."""

    def readers(self, number: int, part: str = "") -> AsyncReaders:
        """Return readers of a part for an event loop."""

    def remove(self, number: int) -> None:
        """Delete a generation. A kill meanwhile leaves no usable generation."""

    def remove_part(self, number: int, part: str) -> None:
        """Delete one part, which can be filled again."""

    def remove_strays(self) -> None:
        """Delete what an interrupted `remove` left."""

    @property
    def is_shared(self) -> bool:
        """Whether other servers may fill the same tables."""

    def starting(self) -> AbstractContextManager[None]:
        """Keep other servers from opening tables at a start until the block ends."""

    def building(self) -> AbstractContextManager[None]:
        """Wait while another server builds tables, and keep others from it until the block ends."""

    def next_number(self) -> int:
        """Return a number for a generation that none had before."""

    def take_over(self, before: Database, after: Database, *, retire: bool) -> None:
        """Put a generation in use in place of `before`: mark it ready, or else `before` retired.

        Raises GenerationError if another server has put another generation in use.
        """

    def close(self) -> None:
        """Close the connections that its methods have left open."""


def open_current(
    store: TableStore, projections: Sequence[Projection], *, keep_others: bool = False
) -> Database:
    """Open the highest generation that is ready; else the highest that is building, else a new one.

    Removes what an interrupted rebuild left, and generations older than the previous one.
    `keep_others`: remove nothing if there is a generation in use, since a rebuild may be running.
    """
    if keep_others and (number := in_use(store)) is not None:
        return store.open(number, projections)
    store.remove_strays()
    states = {number: store.state_of(number) for number in store.numbers()}
    ready = [number for number, state in states.items() if state == "ready"]
    building = [number for number, state in states.items() if state == "building"]
    current = max(ready or building, default=0) or next_number(store)
    kept = {current, *ready[-2:]}  # the previous generation: a rollback needs it
    for number, state in states.items():
        obsolete = number < max(ready, default=0) or state in ("building", "filling")
        obsolete |= state == "unreadable" and bool(ready)  # a build that was killed, or damage
        if obsolete and number not in kept:
            store.remove(number)
    return store.open(current, projections)


def next_number(store: TableStore) -> int:
    """Return the number of the next generation. Numbers are never reused."""
    return store.next_number()


def changed_meanwhile(number: int) -> GenerationError:
    """Refuse to take over from a generation that is not in use any more."""
    return GenerationError(f"generation {number} was put in use meanwhile: start the rebuild again")


def in_use(store: TableStore) -> int | None:
    """Return the number of the generation in use, or None. A server may have it open."""
    return next((n for n in reversed(store.numbers()) if store.is_ready(n)), None)
