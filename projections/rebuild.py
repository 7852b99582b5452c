"""Making the views anew from the log, and what a start does to trust those that are there.

The generation in use is never touched: the next one is built beside it and takes over in one step,
so that a rebuild that is killed has changed nothing.
"""

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ledger.feed import Feed
from ledger.sqlite import transaction
from projections.assets import Assets
from projections.database import Database, is_wreck, numbers, open_current, open_next, remove
from projections.digest import digest
from projections.jobs import Jobs
from projections.migrate import migrate
from projections.projection import Projection
from projections.runner import Progress, Runner

PROJECTIONS: Final[Sequence[Projection]] = (Jobs(), Assets())
"""Jobs first: what a fact takes from a job's bytes is still in `assets` then."""

logger = logging.getLogger(__name__)


class Rebuilt(NamedTuple):
    """What a rebuild made: which generation, up to which position, with which digest."""

    generation: int
    position: int
    digest: str


def start(
    folder: Path,
    feed: Feed,
    progress: Progress | None = None,
    projections: Sequence[Projection] = PROJECTIONS,
) -> Runner:
    """The views of this log, migrated and caught up, or made anew where they are not its own.

    Ends stalled, with `error` set, where the log cannot be read to its end.
    """
    database = open_current(folder, projections)
    try:
        trusted = _trusted(database, feed, progress)
    except BaseException:
        database.close()
        raise
    if isinstance(trusted, Runner):
        return trusted
    logger.warning("making the views anew: %s", trusted)
    database.close()
    return _switched(folder, feed, progress, projections)


def _trusted(database: Database, feed: Feed, progress: Progress | None) -> Runner | str:
    """The runner of these tables, caught up; or why they are not to be used."""
    try:
        migrate(database)
        runner = Runner(database, feed)
        reason = runner.disagreement()
        if reason is None:
            _catch_up(runner, progress)
    except sqlite3.DatabaseError as error:
        if not is_wreck(error):
            raise
        return str(error)
    return str(runner.error) if is_wreck(runner.error) else reason or runner


def rebuild(
    folder: Path,
    feed: Feed,
    progress: Progress | None = None,
    projections: Sequence[Projection] = PROJECTIONS,
) -> Rebuilt:
    """Make the next generation from the whole log and put it in use, for the next start.

    The caller holds the folder's lock. The generation before is kept until the next rebuild.
    Raises what kept it from reading the log to its end.
    """
    runner = _switched(folder, feed, progress, projections)
    database = runner.database
    try:
        if runner.error:
            raise runner.error
        value = digest(database.write, projections)
        return Rebuilt(database.number, runner.position, value)
    finally:
        database.close()


def _switched(
    folder: Path, feed: Feed, progress: Progress | None, projections: Sequence[Projection]
) -> Runner:
    before = numbers(folder)
    database = open_next(folder, projections)
    migrate(database)
    runner = Runner(database, feed)
    _catch_up(runner, progress)
    if runner.error is None:
        for number in before[:-1]:
            remove(folder, number)
    return runner


def _catch_up(runner: Runner, progress: Progress | None) -> None:
    runner.catch_up(progress)
    if runner.error is None:
        with transaction(runner.database.write):
            runner.database.mark("ready")
