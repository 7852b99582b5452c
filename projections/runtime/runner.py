"""Fill one file of tables from the log: rows and position change in one transaction.

Live events and events read back from the log take the same path. An error stalls the file and
nothing else: the log still grows, and the runner continues from its position once it can.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import CorruptLogError, PoisonEventError
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.projections.projection import Merge, Statement
from asset_ledger.projections.runtime.migrate import is_newer
from asset_ledger.projections.runtime.status import Status
from asset_ledger.projections.runtime.store import Database

BATCH: Final = 1_000
"""Events in one transaction: few enough that a write can wait until it commits."""

REFUSED: Final = "refused by a projection"

logger = logging.getLogger(__name__)

CATCHING_UP: Final = "bringing the tables up to date"
"""The step that a start reports as its progress."""


_KNOWN: Final = "INSERT INTO positions VALUES (?, 0, ?, ?) ON CONFLICT DO NOTHING"


class Prepared(NamedTuple):
    """The statements of the events from position `first` to `last`."""

    first: int
    last: int
    statements: list[Statement]


class Runner(Status):
    """Fills one file of tables from the log. Any thread may call; a lock admits one at a time."""

    def __init__(self, database: Database, feed: Feed, *, fills: bool = True) -> None:
        """`fills`: False for tables of a later release, whose servers fill them."""
        super().__init__(database.projections, feed)
        self.database, self._fills = database, fills
        self._turn = threading.Lock()
        self._is_doubtful, self._written = False, 0
        self._skips = feed.skips()
        self._settling = [sql for each in database.projections for sql in each.settling]
        if fills:
            with database.transaction():
                names = [(projection.name, feed.log_id, b"") for projection in database.projections]
                database.insert(_KNOWN, names)
        self.reload()

    def disagreement(self) -> str | None:
        """Return why the tables are not of this log (say, after restoring a backup), or None."""
        rows = self.database.write.execute(
            "SELECT position, log_id, leaf FROM positions"
        ).fetchall()
        if len({position for position, _, _ in rows}) > 1:
            return "the projections are at different positions"
        for position, log_id, leaf in rows:
            if position and log_id != self.feed.log_id:
                return f"the tables were made from the log {log_id}"
            if position and self.feed.leaf_hash(position) != leaf:
                return f"the tables reflect another event at position {position:,} than the log has"
        return None

    def prepare(self, recorded: Sequence[Recorded]) -> Prepared:
        """Return the statements of consecutive events. Changes nothing.

        Raises PoisonEventError for an event that a projection cannot take.
        """
        statements: list[Statement] = []
        for event in recorded if self._fills else ():
            try:
                for projection in self.projections_taking(event.position):
                    statements += projection.statements(event)
            except Exception as error:
                raise PoisonEventError(event.position, repr(error), REFUSED) from error
        return Prepared(recorded[0].position, recorded[-1].position, statements)

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> bool:
        """Write prepared events; return whether the tables reflect position `last`.

        `leaf` is the leaf hash of the event at `last`. Never raises: an error stalls the file, and
        a later turn reads the events from the log.
        """
        with self._turn:
            batch = [group for group in prepared if isinstance(group, Prepared)]
            if self._is_doubtful:
                self._guarded(lambda: False)
            if self.position < last and not isinstance(self.error, PoisonEventError):
                if self.error is None and self._fills and self._continues(batch, last):
                    self._guarded(lambda: self._write(batch, last, leaf))
                else:
                    self._guarded(self._take_from_log)
            return self.position >= last

    def doubt(self) -> None:
        """Read the position from the tables before the next batch."""
        self._is_doubtful = True

    def turn(self, limit: int = BATCH) -> bool:
        """Take one batch from the log; return whether there may be more. Ends a stall if it can."""
        with self._turn:
            return self._guarded(lambda: self._take_turn(limit))

    def catch_up(self, progress: Progress | None = None) -> None:
        """Take batches up to the head of the log. A stall ends it early, with `error` set."""
        target, more = self.feed.head(), True
        while more:
            more = self.turn()
            if progress:
                progress(CATCHING_UP, self.position, max(target, self.position))

    def close(self) -> None:
        """Close the file, once no turn is under way."""
        with self._turn:
            self.database.close()

    def _guarded(self, work: Callable[[], bool]) -> bool:
        """Do the work; store an exception as `error` instead of raising it."""
        try:
            if self.error or self._is_doubtful:
                self.reload()  # a COMMIT that raised may have succeeded
                self._skips = self.feed.skips()  # the event that stalled it may be skipped by now
            more = work()
            self._watermark.move(self._written)  # once every transaction of the work has ended
        except Exception as error:
            self._stall(error)
            return False
        if self.error:
            logger.warning("the tables follow the log again, from position %d", self.position)
        self.error = None
        return more

    def _stall(self, error: Exception) -> None:
        if self.error is None and self.database.is_lost(error):
            logger.warning("the tables wait for their database, from position %d", self.position)
        elif self.error is None:
            logger.error("the tables stalled at position %d", self.position, exc_info=error)
        is_driver_error = self.database.is_shared and isinstance(error, self.database.errors)
        # An error of the driver cannot be sent from the committer to its server.
        self.error = self.database.failure(error) if is_driver_error else error

    def _continues(self, batch: Sequence[Prepared], last: int) -> bool:
        position = self.position
        for group in batch:
            if group.first != position + 1:
                return False
            position = group.last
        return position == last

    def _take_turn(self, limit: int) -> bool:
        with self.database.exclusive() as is_mine:
            if self.database.is_shared:
                self._load_position()
                self._fills = not is_newer(self.database)
            return is_mine and self._take_from_log(limit)

    def _take_from_log(self, limit: int = BATCH) -> bool:
        if not self._fills:
            self._load_position()
            return False
        while group := self._readable(limit):
            try:
                return self._write([group], group.last, self.leaf(group.last))
            except self.database.errors as error:
                limit = self._half_of(group, error)
        return False

    def _half_of(self, group: Prepared, error: Exception) -> int:
        """Return how many events to try next, to find the event whose statements fail.

        Raises PoisonEventError for a single event, and any error that no statement caused.
        """
        if not self.database.is_statement_error(error):
            raise error
        if group.first == group.last:
            raise PoisonEventError(group.first, repr(error), REFUSED) from error
        return (group.last - group.first + 1) // 2

    def _readable(self, limit: int) -> Prepared | None:
        """Return the next events that can be taken. Raises PoisonEventError if there are none."""
        try:
            return self._next(limit)
        except PoisonEventError as error:
            readable = error.position - self.position - 1
            return self._next(readable) if readable else self._next_alone(error.position)

    def _next_alone(self, position: int) -> Prepared | None:
        """Return the next event, without statements if every projection skips it."""
        if not self.projections_taking(position):
            return Prepared(position, position, [])
        return self._next(1)

    def leaf(self, position: int) -> bytes:
        """Return the leaf hash of an event. Raises CorruptLogError if the log has none."""
        leaf = self.feed.leaf_hash(position)
        if leaf is None:
            raise CorruptLogError(f"the log has no leaf hash at position {position:,}")
        return leaf

    def _next(self, limit: int) -> Prepared | None:
        events = self.feed.read(self.position, limit)
        return self.prepare(events) if events else None

    def _write(self, batch: Sequence[Prepared], last: int, leaf: bytes) -> bool:
        with self.database.transaction():
            execute(self.database, (statement for group in batch for statement in group.statements))
            self.settle(last, leaf)
        self._written = last
        return True

    def settle(self, last: int, leaf: bytes) -> None:
        """Run the `settling` SQL of the projections and move the position, in the transaction."""
        for settling in self._settling:
            self.database.write.execute(settling)
        self.database.write.execute(
            "UPDATE positions SET position = ?, log_id = ?, leaf = ?",
            (last, self.feed.log_id, leaf),
        )

    def reload(self) -> None:
        """Read the position from the file."""
        self.database.reconnect()
        self._load_position()
        self._is_doubtful = False

    def _load_position(self) -> None:
        rows = self.database.write.execute("SELECT min(position) FROM positions").fetchall()
        self._written = rows[0][0]
        self._watermark.move(self._written)


def execute(database: Database, statements: Iterable[Statement]) -> None:
    """Run statements in order; group neighbouring independent statements by their SQL."""
    grouped: dict[str, list[Sequence[Any]]] = {}
    merges: dict[str, Merge] = {}
    for sql, parameters, independent, merge in statements:
        if independent:
            grouped.setdefault(sql, []).append(parameters)
            if merge:
                merges[sql] = merge
            continue
        _flush(database, grouped, merges)
        database.run(sql, parameters)
    _flush(database, grouped, merges)


def _flush(
    database: Database, grouped: dict[str, list[Sequence[Any]]], merges: Mapping[str, Merge]
) -> None:
    for sql, rows in grouped.items():
        database.insert(sql, merges[sql](rows) if sql in merges else rows)
    grouped.clear()
