"""A database for the code above it: a connection, its rows, and reads for threads and tasks.

`storage.readers` implements the reads for SQLite. The code above depends on these protocols only.
"""

from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from asset_ledger.ledger.errors import LogDamagedError, TablesDamagedError

Damage = TablesDamagedError | LogDamagedError


class Cursor(Protocol):
    """The rows of one statement."""

    def fetchone(self) -> Any:
        """Return the next row; None without one."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows that are left."""


class SqlConnection(Protocol):
    """A connection of one thread. Parameters stand for the question marks of a statement.

    `execute` raises the errors of the database.
    """

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run a statement."""


class Readers(Protocol):
    """Reads for threads: each call uses a connection of its own."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of one statement, which is finished by then."""

    def rows_upto(self, max_bytes: int, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """Return rows until the sum of the bytes in their last columns reaches `max_bytes`."""

    def close(self) -> None:
        """Close the connections that are not lent."""


class Snapshot(Protocol):
    """A read transaction: its statements see the same rows."""

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of one statement."""


class AsyncReaders(Protocol):
    """Reads for the event loop.

    - A statement MUST NOT wait long behind slow ones of another user.
    - None MUST outlive the budget of its task (`storage.turns`), or its caller.
    """

    @property
    def damage(self) -> Damage | None:
        """The error of the first statement that found damage; None if none did."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Begin a read transaction, which ends with the block."""

    def rows(
        self, sql: str, parameters: Sequence[Any] = (), brief: bool = False
    ) -> Awaitable[list[Any]]:
        """Return all rows of one statement. Raises TablesDamagedError, DeadlineExceededError,
        BusyError, and the errors of the database.

        `brief`: an index leads to about two hundred rows at most.
        """

    def swap(self, other: Any) -> None:
        """Exchange databases with other readers of the same kind.

        Reads under way continue on their old one: `drain` the other readers before closing them.
        """

    async def drain(self) -> None:
        """Wait until no read is under way."""

    async def close(self) -> None:
        """Close every connection."""
