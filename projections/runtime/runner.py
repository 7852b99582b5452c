"""Follows the log: events become rows, and the position moves in the same transaction.

Live events and events read back from the log take one path, so a live projection is a rebuild that has
caught up. What goes wrong stalls the projection and nothing else: the log goes on, and the projection takes it
from there once it can.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import CorruptLogError, PoisonEventError
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.sqlite import insert_rows, is_statement_error, transaction
from asset_ledger.projections.projection import Statement
from asset_ledger.projections.runtime.database import Database
from asset_ledger.projections.runtime.status import Status

BATCH: Final = 1_000
"""How many events one transaction takes from the log: a turn that a writer can wait for."""

REFUSED: Final = "refused by a projection"

logger = logging.getLogger(__name__)

CATCHING_UP: Final = "bringing the tables up to date"
"""The step that a start reports."""


class Prepared(NamedTuple):
    """The statements of some neighbouring events."""

    first: int
    last: int
    statements: list[Statement]


class Runner(Status):
    """Fills one file of tables from the log. Any thread may call; one at a time is let in."""

    def __init__(self, database: Database, feed: Feed) -> None:
        super().__init__(database.projections, feed)
        self.database = database
        self._turn = threading.Lock()
        self._skips = feed.skips()
        self._settling = [sql for each in database.projections for sql in each.settling]
        with transaction(database.write) as db:
            db.executemany(
                "INSERT OR IGNORE INTO positions VALUES (?, 0, ?, x'')",
                [(projection.name, feed.log_id) for projection in database.projections],
            )
        self.reload()

    def disagreement(self) -> str | None:
        """Why these tables cannot be this log's (a backup was restored, say); None if they are."""
        rows = self.database.write.execute(
            "SELECT position, log_id, leaf FROM positions"
        ).fetchall()
        if len({position for position, _, _ in rows}) > 1:
            return "the projections stand at different positions"
        for position, log_id, leaf in rows:
            if position and log_id != self.feed.log_id:
                return f"the tables were made from the log {log_id}"
            if position and self.feed.leaf_hash(position) != leaf:
                return f"the tables reflect another event at position {position:,} than the log has"
        return None

    def prepare(self, recorded: Sequence[Recorded]) -> Prepared:
        """The statements of these neighbouring events, computed without touching anything.

        Raises PoisonEventError for an event that no row can be made of.
        """
        statements: list[Statement] = []
        for event in recorded:
            try:
                for projection in self.taking(event.position):
                    statements += projection.statements(event)
            except Exception as error:
                raise PoisonEventError(event.position, repr(error), REFUSED) from error
        return Prepared(recorded[0].position, recorded[-1].position, statements)

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> bool:
        """Whether the tables reflect the log up to `last`, whose leaf hash is `leaf`.

        Never raises: what fails stalls the projection, and a later turn takes it from the log.
        """
        with self._turn:
            batch = [group for group in prepared if isinstance(group, Prepared)]
            if self.position < last and not isinstance(self.error, PoisonEventError):
                if self.error is None and self._continues(batch, last):
                    self._guarded(lambda: self._write(batch, last, leaf))
                else:
                    self._guarded(self._take_from_log)
            return self.position >= last

    def turn(self, limit: int = BATCH) -> bool:
        """Take one batch from the log; whether there may be more. Also ends a stall, if it can."""
        with self._turn:
            return self._guarded(lambda: self._take_from_log(limit))

    def catch_up(self, progress: Progress | None = None) -> None:
        """Take everything from the log. Stops early with `error` set where it cannot go on."""
        target, more = self.feed.head(), True
        while more:
            more = self.turn()
            if progress:
                progress(CATCHING_UP, self.position, max(target, self.position))

    def close(self) -> None:
        """Close the write connection, once nobody is in a turn."""
        with self._turn:
            self.database.close()

    def _guarded(self, work: Callable[[], bool]) -> bool:
        """Do it; a failure becomes the state of the projection instead of its caller's problem."""
        try:
            if self.error:
                self.reload()  # a COMMIT that failed may have happened
                self._skips = self.feed.skips()  # what it stalls at may have been set aside
            more = work()
        except Exception as error:
            self._stall(error)
            return False
        if self.error:
            logger.warning("the projections are live again, at position %d", self.position)
        self.error = None
        return more

    def _stall(self, error: Exception) -> None:
        if self.error is None:
            logger.error("the projections stall at position %d", self.position, exc_info=error)
        self.error = error

    def _continues(self, batch: Sequence[Prepared], last: int) -> bool:
        position = self.position
        for group in batch:
            if group.first != position + 1:
                return False
            position = group.last
        return position == last

    def _take_from_log(self, limit: int = BATCH) -> bool:
        while group := self._readable(limit):
            try:
                return self._write([group], group.last, self.leaf(group.last))
            except sqlite3.Error as error:
                limit = _fewer(group, error)
        return False

    def _readable(self, limit: int) -> Prepared | None:
        """The next events, up to one that cannot be read or taken. Raises if that is the first."""
        try:
            return self._next(limit)
        except PoisonEventError as error:
            readable = error.position - self.position - 1
            return self._next(readable) if readable else self._first(error.position)

    def _first(self, position: int) -> Prepared | None:
        """The next event, for those who have not set it aside. Raises unless they can take it."""
        if not self.taking(position):
            return Prepared(position, position, [])
        return self._next(1)

    def leaf(self, position: int) -> bytes:
        """The leaf hash of the event at a position. Raises CorruptLogError if the log has none."""
        leaf = self.feed.leaf_hash(position)
        if leaf is None:
            raise CorruptLogError(f"the log has no leaf hash at position {position:,}")
        return leaf

    def _next(self, limit: int) -> Prepared | None:
        events = self.feed.read(self.position, limit)
        return self.prepare(events) if events else None

    def _write(self, batch: Sequence[Prepared], last: int, leaf: bytes) -> bool:
        with transaction(self.database.write) as db:
            execute(db, (statement for group in batch for statement in group.statements))
            self.settle(last, leaf)
        self._watermark.move(last)
        return True

    def settle(self, last: int, leaf: bytes) -> None:
        """End a transaction of events up to `last`: sum them up, and move the position."""
        for settling in self._settling:
            self.database.write.execute(settling)
        self.database.write.execute(
            "UPDATE positions SET position = ?, log_id = ?, leaf = ?",
            (last, self.feed.log_id, leaf),
        )

    def reload(self) -> None:
        """Take the position from the file."""
        rows = self.database.write.execute("SELECT min(position) FROM positions").fetchall()
        self._watermark.move(rows[0][0])


def _fewer(group: Prepared, error: sqlite3.Error) -> int:
    """How many events to try next, to find the one whose statements fail.

    Raises PoisonEventError once it is found, and what is no statement's fault.
    """
    if not is_statement_error(error):
        raise error
    if group.first == group.last:
        raise PoisonEventError(group.first, repr(error), REFUSED) from error
    return (group.last - group.first + 1) // 2


def execute(db: sqlite3.Connection, statements: Iterable[Statement]) -> None:
    """Run statements in order; neighbours that are independent of each other go together."""
    together: dict[str, list[Sequence[Any]]] = {}
    for sql, parameters, independent in statements:
        if independent:
            together.setdefault(sql, []).append(parameters)
            continue
        _flush(db, together)
        db.execute(sql, parameters)
    _flush(db, together)


def _flush(db: sqlite3.Connection, together: dict[str, list[Sequence[Any]]]) -> None:
    for sql, rows in together.items():
        insert_rows(db, sql, rows)
    together.clear()
