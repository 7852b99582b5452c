"""Filling files of projections with many events: the log is read once for all of them, and a new file is
made in haste: its rows first, its indexes after them, and nothing of it safe before the end.

Promise: the rows are those that following the log gives, and a file that was not filled to its end
says so itself: no start uses it.
"""

import gc
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import LedgerError, PoisonEventError
from asset_ledger.ledger.progress import Progress, no_progress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.sqlite import storage_error
from asset_ledger.projections.runtime.database import Database
from asset_ledger.projections.runtime.indexes import defer_indexes, restore_indexes
from asset_ledger.projections.runtime.runner import BATCH, CATCHING_UP, Runner, execute

A_TRANSACTION: Final = 16
"""How many batches one transaction takes: sums and indexes of words are settled once for them."""


def begin_bulk_fill(database: Database) -> None:
    """From here on a file is filled as fast as can be, and is good for nothing before `secure`."""
    database.begin_bulk_fill()
    defer_indexes(database)


def end_bulk_fill(database: Database) -> None:
    """Make the indexes, and be as safe as any file from here on."""
    restore_indexes(database)
    database.end_bulk_fill()


def fill_new(runner: Runner, progress: Progress = no_progress) -> None:
    """Take the log into a file that is new, if it is, and if the log has more than a few turns.

    As far as that goes: what it stops at stalls the next turn. Raises StorageFailedError for a file
    that cannot be finished.
    """
    if runner.database.state != "building" or runner.position or runner.feed.head() <= BATCH:
        return
    begin_bulk_fill(runner.database)
    with suppress(LedgerError, sqlite3.Error):
        fill([runner], progress, CATCHING_UP)
    try:
        end_bulk_fill(runner.database)
    except sqlite3.Error as error:
        raise storage_error(error) from error


def fill(
    runners: Sequence[Runner], progress: Progress = no_progress, step: str = "reading"
) -> None:
    """Take every event that their feed tells of into each of these, side by side.

    Reports its progress as that of a step. Raises what kept one of them from the last event.
    """
    feed = runners[0].feed
    target = feed.head()
    while any(runner.position < target for runner in runners):
        with _little_garbage():
            _pour(runners, feed, target, partial(progress, step))
        for runner in runners:
            _look_closely(runner, target)


@contextmanager
def _little_garbage() -> Iterator[None]:
    """What lives already is not looked through for garbage, again and again, while events come and
    go: that took a quarter of the time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _look_closely(runner: Runner, target: int) -> None:
    """Go a turn on by itself where it could not go on with the others. Raises what stalls it."""
    if runner.position < target:
        runner.turn()
        if runner.error:
            raise runner.error


def _pour(
    runners: Sequence[Runner], feed: Feed, target: int, taken: Callable[[int, int], None]
) -> None:
    """As far as the events can be read, and as somebody takes them."""
    pourings = [_Pouring(runner) for runner in runners]
    position = min(runner.position for runner in runners)
    for n, events in enumerate(_batches(feed, position, target), 1):
        for pouring in pourings:
            pouring.take(events)
        if n % A_TRANSACTION == 0:
            for pouring in pourings:
                pouring.commit()
        if not any(pouring.goes_on for pouring in pourings):
            break
        taken(events[-1].position, target)
    for pouring in pourings:
        pouring.commit()


def _batches(feed: Feed, position: int, target: int) -> Iterator[list[Recorded]]:
    """The events after a position, up to the target or to one that cannot be read."""
    with suppress(PoisonEventError):
        while position < target:
            events = feed.read(position, BATCH, upto=target)
            yield events
            position = events[-1].position


class _Pouring:
    """One file, and the events that come to it. It stops at what it cannot take."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self._db = runner, runner.database.write
        self._last = runner.position
        self.goes_on = True

    def take(self, events: Sequence[Recorded]) -> None:
        """The rows of those that it does not have yet, in a transaction that `commit` ends."""
        new = events[max(0, self._last + 1 - events[0].position) :]
        if self.goes_on and new:
            try:
                prepared = self._runner.prepare(new)
            except PoisonEventError:
                self.goes_on = False  # with the rows before it
                return
            with self._guarded():
                if not self._db.in_transaction:
                    self._db.execute("BEGIN IMMEDIATE")
                execute(self._db, prepared.statements)
                self._last = prepared.last

    def commit(self) -> None:
        """The tables reflect what was taken."""
        if self._db.in_transaction:
            with self._guarded():
                self._runner.settle(self._last, self._runner.leaf(self._last))
                self._db.execute("COMMIT")
                self._runner.reload()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (LedgerError, sqlite3.Error):
            self.goes_on = False
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
