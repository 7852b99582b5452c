"""PostgreSQL: connections for one thread, reads for many threads, and our SQL in its dialect.

Our SQL is written for SQLite, and translated by `postgres_sql`.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from queue import Empty, LifoQueue
from socket import gethostname
from threading import Semaphore
from typing import Any, Final

import psycopg
from psycopg.adapt import AdaptersMap, Loader, PyFormat
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Format, TransactionStatus
from psycopg.types.array import BaseListDumper, ListBinaryDumper, ListDumper
from psycopg.types.numeric import NumericBinaryLoader

from asset_ledger.ledger.errors import DiskFullError, StorageFailedError
from asset_ledger.ledger.storage.database import Cursor
from asset_ledger.ledger.storage.postgres_sql import translate
from asset_ledger.ledger.storage.postgres_waits import connect

LOG: Final = "ledger"
"""The schema of the log, and of the functions that our SQL calls."""

IDLE: Final = "idle_in_transaction_session_timeout"
FROZEN: Final = "4s"
"""How long a server that stands still keeps the log's lock: shorter than others wait for it."""
HELD: Final = "10s"
"""How long a transaction of the log's connection may take, if PostgreSQL is 17 or newer: a server
may stand still between the statements that it sends at once."""
AT_ONCE: Final = 4
"""Connections of one `PostgresReaders`."""
READING: Final = "10min"
"""How long a reader may compute between two statements of a transaction."""
PAGE: Final = 1_000
"""Rows of `PostgresConnection.pages` that are in memory at once."""

DEFAULTS: Final[Mapping[str, Any]] = {
    "fallback_application_name": f"asset-ledger, process {os.getpid()} on {gethostname()}",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # else a host that vanished would hold a write for many minutes
}
"""Parameters of a connection that end the wait for a lost machine: seconds, and milliseconds."""

_ENDED: Final = psycopg.errors.IdleInTransactionSessionTimeout | psycopg.errors.TransactionTimeout
_READ_ONLY: Final = psycopg.errors.ReadOnlySqlTransaction
"""A setting of the database that forbids writes: only a new connection sees that it was changed."""
CONFIRM: Final = "SELECT pg_logical_emit_message(true, 'asset-ledger', '')"
"""Changes nothing. The COMMIT after it waits until a synchronous standby, if there is one, has this
message, and all that was committed before it."""
_WARNING: Final = "01000"

_HELD: Final = f"""SELECT set_config('transaction_timeout', '{HELD}', false)
    WHERE current_setting('transaction_timeout', true) IS NOT NULL;"""


class _Hex(Loader):
    """Reads a UUID as 32 hex digits, as the log has it."""

    format = Format.BINARY

    def load(self, data: Any) -> str:
        return bytes(data).hex()


class _Text(Loader):
    """Reads JSON as text."""

    format = Format.BINARY

    def load(self, data: Any) -> str:
        return bytes(data).decode()


class _Number(NumericBinaryLoader):
    """Reads sums, which are whole numbers unless a summand is not."""

    def load(self, data: Any) -> Any:
        number = super().load(data)
        return int(number) if number == number.to_integral_value() else float(number)


class _Array(ListDumper):
    """Sends texts and bytes as they are: psycopg sends them in quotes, and bytes as hex digits,
    which takes 0.1 ms for an event or a document."""

    def upgrade(self, obj: list[Any], format: PyFormat) -> BaseListDumper:
        kinds = {*map(type, obj)} - {type(None)}
        if kinds in ({str}, {bytes}):
            return ListBinaryDumper(self.cls, self._tx).upgrade(obj, format)
        return super().upgrade(obj, format)


def adapt(adapters: AdaptersMap) -> None:
    """Read values of these types as SQLite returns them, and send lists as `_Array` does."""
    adapters.register_dumper(list, _Array)
    adapters.register_loader("uuid", _Hex)
    adapters.register_loader("json", _Text)
    adapters.register_loader("numeric", _Number)


_OURS: Final = "; ".join(
    f"SET {name} = {value}"
    for name, value in {
        "default_transaction_isolation": "'read committed'",  # a snapshot is of after the lock
        "statement_timeout": "0",  # a rebuild, and the wait for another one, take their time
        "idle_session_timeout": "0",  # its end would free locks
        "tcp_keepalives_idle": "10",  # else a machine that vanished keeps its locks for two hours
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }.items()
)
"""What a role or a database may set otherwise."""


def settings(schemas: Sequence[str], *, read_only: bool, is_log: bool = False) -> str:
    """Return the statements to run on a new connection. `is_log`: it takes the log's lock."""
    path = ", ".join(schemas)
    only = "SET default_transaction_read_only = on;" if read_only else ""
    idle = READING if read_only else FROZEN
    return (
        f"{_OURS};"
        f"SET search_path = {path}; SET max_parallel_workers_per_gather = 0;"  # keeps rows in order
        f"SET lock_timeout = '5s'; SET {IDLE} = '{idle}'; {only}"
        f"{_HELD if is_log else ''}"
    )


@lru_cache
def conninfo(url: str) -> str:
    """Return the address with what it does not set itself: `DEFAULTS`."""
    return make_conninfo(**{**DEFAULTS, **conninfo_to_dict(url)})


def unreachable(error: Exception) -> StorageFailedError:
    """Return the error for a caller of a database that does not answer."""
    return StorageFailedError(
        f"the database cannot be reached ({reason_of(error)}); nothing was recorded: retry"
    )


def reason_of(error: Exception) -> str:
    """Return the first line of an error's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def storage_error(error: Exception) -> StorageFailedError:
    """Return the error for the caller of a write that failed in PostgreSQL."""
    if isinstance(error, psycopg.errors.DiskFull):
        return DiskFullError("the database's disk is full; nothing was recorded: free space, retry")
    if is_lost(error):
        return unreachable(error)
    return StorageFailedError(f"the database refused the write: {error}")


def is_lost(error: Exception) -> bool:
    """Return whether the connection, and not the statement, has failed."""
    if isinstance(error, _ENDED | _READ_ONLY):
        return True
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and (
        getattr(error, "sqlstate", None) is None or str(error.sqlstate)[:2] in ("08", "57")
    )


def is_statement_error(error: Exception) -> bool:
    """Return whether the statement or its parameters are wrong, so that a retry cannot help."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in ("22", "23", "42")


class PostgresConnection:
    """A connection of one thread, opened again after it was lost. See `SqlConnection`."""

    def __init__(
        self, url: str, schemas: Sequence[str], *, read_only: bool = False, is_log: bool = False
    ) -> None:
        """Connect. `is_log`: see `settings`. Raises psycopg.OperationalError."""
        self._url, self._schemas, self._read_only = url, tuple(schemas), read_only
        self._is_log = is_log
        self._opened, self._is_warned = 0, False
        self._open()

    def _open(self) -> None:
        self._opened += 1
        self._is_read_only = False
        self._db = connect(conninfo(self._url), psycopg.RawCursor)
        adapt(self._db.adapters)
        self._db.add_notice_handler(self._note)
        chosen = settings(self._schemas, read_only=self._read_only, is_log=self._is_log)
        self._db.execute(chosen.encode())

    def _note(self, notice: "psycopg.errors.Diagnostic") -> None:
        self._is_warned |= notice.sqlstate == _WARNING

    @property
    def location(self) -> str:
        """Where the database is: `database assets at db.example.org, port 5432`."""
        info = self._db.info
        return f"database {info.dbname} at {info.host}, port {info.port}"

    @property
    def major_version(self) -> int:
        """The major version of PostgreSQL, such as 18."""
        return self._db.info.server_version // 10_000

    @property
    def is_closed(self) -> bool:
        """Whether the connection was lost."""
        return self._db.closed

    @property
    def is_lost(self) -> bool:
        """Whether the connection was lost, or forbids writes."""
        return self._db.closed or self._is_read_only

    def reopen(self) -> None:
        """Connect again. Raises psycopg.OperationalError."""
        self._db.close()
        self._open()

    def use(self, schemas: Sequence[str]) -> None:
        """Look tables up in these schemas from now on."""
        self._schemas = tuple(schemas)
        self._db.execute(f"SET search_path = {', '.join(schemas)}".encode())

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is under way."""
        return self._db.info.transaction_status != TransactionStatus.IDLE and not self._db.closed

    @contextmanager
    def transaction(self) -> Iterator["PostgresConnection"]:
        """Commit at the end of the block; inside another transaction, keep a savepoint until then.

        On an error, roll back and reraise it.
        """
        with self._db.transaction():
            yield self

    def begin(self) -> int:
        """Begin a transaction. Return what `commit` has to be given."""
        self._db.execute(b"BEGIN")
        return self._opened

    def commit(self, begun: int) -> None:
        """Commit a transaction. Raises OperationalError if it is not under way any more, or if its
        wait for a standby was cancelled: COMMIT by itself would report success then."""
        status = self._db.info.transaction_status
        if begun != self._opened or status != TransactionStatus.INTRANS:
            raise psycopg.OperationalError("the transaction was lost")
        self._is_warned = False
        self._db.execute(b"COMMIT")
        if self._is_warned:
            raise psycopg.OperationalError("the standby did not confirm the transaction")

    def roll_back(self) -> None:
        """Roll a transaction back. Statements that a failed pipeline skipped are forgotten: psycopg
        takes them for prepared."""
        self._db.rollback()

    @contextmanager
    def pipeline(self) -> Iterator[None]:
        """Send the statements of the block without waiting for the rows of each."""
        with self._noting(), self._db.pipeline():
            yield

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note whether the statements of the block find that the database forbids writes."""
        try:
            yield
        except _READ_ONLY:
            self._is_read_only = True
            raise

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run a statement."""
        with self._noting():
            return self._db.execute(translate(sql), parameters or None, binary=True)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row, in order."""
        with self._noting():
            self._db.cursor().executemany(translate(sql), rows)

    def pages(self, sql: str, size: int = PAGE) -> Iterator[list[Any]]:
        """Yield the rows of a statement page by page: row by row, each would be waited for."""
        with self.transaction():
            self.execute(f"SET LOCAL {IDLE} = '{READING}'")
            self.execute(f"DECLARE pages CURSOR FOR {sql}")
            while page := self.execute(f"FETCH {size} FROM pages").fetchall():
                yield page
            self.execute("CLOSE pages")

    def stream(self, sql: str, parameters: Sequence[Any]) -> Iterator[Any]:
        """Yield rows as they arrive. The caller closes the iterator."""
        return self._db.cursor().stream(translate(sql), parameters, binary=True)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()


@contextmanager
def writing(url: str) -> Iterator[PostgresConnection]:
    """Open a connection for one transaction, which the end of the block commits.

    Raises StorageFailedError.
    """
    try:
        with closing(PostgresConnection(url, (LOG,))) as db, db.transaction():
            yield db
    except psycopg.Error as error:
        raise storage_error(error) from error


class PostgresReaders:
    """Reads for threads: each call uses a connection of its own, once fewer than `AT_ONCE` read.

    Raises StorageFailedError.
    """

    def __init__(self, url: str, schemas: Sequence[str] = (LOG,)) -> None:
        self._url, self._schemas = url, schemas
        self._free: LifoQueue[PostgresConnection] = LifoQueue()
        self._turns = Semaphore(AT_ONCE)
        self._is_closed = False

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of one statement, which is finished by then."""
        return self._read(lambda db: db.execute(sql, parameters).fetchall())

    def rows_upto(self, max_bytes: int, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """Return rows until the sum of the bytes in their last columns reaches `max_bytes`."""
        return self._read(lambda db: _upto(db, max_bytes, sql, parameters))

    def _read(self, read: Callable[[PostgresConnection], list[Any]]) -> list[Any]:
        """Read with a connection. One that was lost since its last use is opened again."""
        try:
            with self._turns, self._lent() as db:
                try:
                    return read(db)
                except psycopg.OperationalError:
                    if not db.is_lost:
                        raise
                    db.reopen()
                    return read(db)
        except psycopg.OperationalError as error:
            raise unreachable(error) from error

    @contextmanager
    def _lent(self) -> Iterator[PostgresConnection]:
        try:
            db = self._free.get_nowait()
        except Empty:
            db = PostgresConnection(self._url, self._schemas, read_only=True)
        try:
            yield db
        finally:
            self._free.put(db)
            if self._is_closed:  # by another thread, meanwhile
                self.close()

    def close(self) -> None:
        """Close every connection; one that is lent, once it is returned."""
        self._is_closed = True
        with suppress(Empty):
            while True:
                self._free.get_nowait().close()


def _upto(db: PostgresConnection, max_bytes: int, sql: str, parameters: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    size = 0
    rows = db.stream(sql, parameters)
    try:
        for row in rows:
            found.append(row)
            size += len(row[-1])
            if size >= max_bytes:
                break
    finally:
        rows.close()  # type: ignore[attr-defined]  # a generator, which cancels the rest
    return found
