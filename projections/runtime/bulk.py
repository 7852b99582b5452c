"""Fill table files from the log in bulk: one read of the log fills all files.

A new file gets its rows first and its indexes last. Until it is finished it is not crash-safe: its
state is `filling`, and no start uses a file in that state. The rows are the same as those that
following the log gives.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import LedgerError, PoisonEventError
from asset_ledger.ledger.progress import Progress, no_progress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.projections.runtime.indexes import defer_indexes, restore_indexes
from asset_ledger.projections.runtime.runner import BATCH, CATCHING_UP, Runner, execute
from asset_ledger.projections.runtime.store import Database

INDEXING: Final = "making the indexes of the tables"
"""The last step of a fill at a start."""

BATCHES_PER_TRANSACTION: Final = 16
"""Batches in one transaction. Sums and full-text indexes are updated once for each transaction."""


def begin_bulk_fill(database: Database) -> None:
    """Drop the indexes of a file and turn off its crash safety, until `end_bulk_fill`."""
    database.begin_bulk_fill()
    defer_indexes(database)


def end_bulk_fill(database: Database) -> None:
    """Make the indexes and turn crash safety on again."""
    restore_indexes(database)
    database.end_bulk_fill()


def fill_new(runner: Runner, progress: Progress = no_progress) -> None:
    """Fill a file in bulk if it is new and the log has more than one batch; else do nothing.

    Stops at an event that it cannot take; the runner's next turn reports it. Raises
    StorageFailedError for a file that cannot be finished.
    """
    if runner.database.state != "building" or runner.position or runner.feed.head() <= BATCH:
        return
    begin_bulk_fill(runner.database)
    with suppress(LedgerError, *runner.database.errors):
        fill([runner], progress, CATCHING_UP)
    progress(INDEXING, runner.position, runner.position)
    try:
        end_bulk_fill(runner.database)
    except runner.database.errors as error:
        raise runner.database.failure(error) from error


def fill(
    runners: Sequence[Runner], progress: Progress = no_progress, step: str = "reading"
) -> None:
    """Bring each runner to the head of their shared feed, side by side.

    Calls `progress(step, position, target)` after each batch. Raises the error that stops a runner.
    """
    feed = runners[0].feed
    target = feed.head()
    while any(runner.position < target for runner in runners):
        with _frozen_heap():
            _fill_side_by_side(runners, feed, target, partial(progress, step))
        for runner in runners:
            _retry_alone(runner, target)


@contextmanager
def _frozen_heap() -> Iterator[None]:
    """Exempt existing objects from garbage collection, which took a quarter of the time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _retry_alone(runner: Runner, target: int) -> None:
    """Take one turn with a runner that stopped early. Raises the error that stalls it."""
    if runner.position < target:
        runner.turn()
        if runner.error:
            raise runner.error


def _fill_side_by_side(
    runners: Sequence[Runner], feed: Feed, target: int, report: Callable[[int, int], None]
) -> None:
    """Fill until the target, an event that cannot be read, or the failure of every file."""
    fills = [_FileFill(runner) for runner in runners]
    position = min(runner.position for runner in runners)
    for n, events in enumerate(_batches(feed, position, target), 1):
        for each in fills:
            each.take(events)
        if n % BATCHES_PER_TRANSACTION == 0:
            for each in fills:
                each.commit()
        if all(each.failed for each in fills):
            break
        report(events[-1].position, target)
    for each in fills:
        each.commit()


def _batches(feed: Feed, position: int, target: int) -> Iterator[list[Recorded]]:
    """Yield the events after a position, up to the target or to an event that cannot be read."""
    with suppress(PoisonEventError):
        while position < target:
            events = feed.read(position, BATCH, upto=target)
            yield events
            position = events[-1].position


class _FileFill:
    """The bulk fill of one file. `failed`: it stopped at an event that it cannot take."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self._database = runner, runner.database
        self._caught: tuple[type[Exception], ...] = (LedgerError, *runner.database.errors)
        self._last = runner.position
        self.failed = False

    def take(self, events: Sequence[Recorded]) -> None:
        """Write the rows of the events after its position, in a transaction that `commit` ends."""
        new = events[max(0, self._last + 1 - events[0].position) :]
        if new and not self.failed:
            try:
                prepared = self._runner.prepare(new)
            except PoisonEventError:
                self.failed = True  # the rows of earlier batches stay
                return
            with self._guarded():
                if not self._database.in_transaction:
                    self._database.write.execute("BEGIN IMMEDIATE")
                execute(self._database, prepared.statements)
                self._last = prepared.last

    def commit(self) -> None:
        """Commit the rows together with the new position."""
        if self._database.in_transaction:
            with self._guarded():
                self._runner.settle(self._last, self._runner.leaf(self._last))
                self._database.write.execute("COMMIT")
                self._runner.reload()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except self._caught:
            self.failed = True
            if self._database.in_transaction:
                self._database.write.execute("ROLLBACK")
