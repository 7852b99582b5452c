"""Open the tables at a start: check them, migrate them, and catch up with the log.

A main file that cannot be used is left alone. The next generation is built beside it and takes over
in one step, so that a start that is killed has changed nothing.
"""

import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.progress import Progress, no_progress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.bulk import fill_new
from asset_ledger.projections.runtime.database import (
    Database,
    delete,
    is_corrupt,
    numbers,
    open_current,
    open_next,
    path_of,
    remove,
)
from asset_ledger.projections.runtime.indexes import restore_indexes
from asset_ledger.projections.runtime.installed import report_unusable
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.registry import PROJECTIONS, other_projections
from asset_ledger.projections.runtime.runner import Runner

logger = logging.getLogger(__name__)


class OtherRunners(NamedTuple):
    """The runners of other packages' projections, and the reasons of those without one, by name."""

    runners: Mapping[str, Runner]
    broken: Mapping[str, str]


def start(
    folder: Path,
    feed: Feed,
    progress: Progress | None = None,
    projections: Sequence[Projection] = PROJECTIONS,
    *,
    keep_others: bool = False,
) -> Runner:
    """Return the runner of the main file, migrated and caught up, or rebuilt if it is unusable.

    `keep_others`: remove no other generation, since a rebuild may be running.
    A runner that cannot take all events is stalled, with `error` set.
    """
    current = partial(open_current, folder, projections, keep_others=keep_others)
    opened = _open(current, feed, progress)
    if isinstance(opened, Runner):
        return opened
    logger.warning("rebuilding the tables: %s", opened)
    return _build_next(folder, feed, progress, projections)


def follow(
    folder: Path,
    number: int,
    projection: Projection,
    feed: Feed,
    progress: Progress | None = None,
) -> Runner:
    """Return the runner of a projection with a file of its own, caught up, or rebuilt in place.

    A runner that cannot take all events is stalled, with `error` set.
    """
    part = partial(Database, folder, number, [projection], projection.name)
    opened = _open(part, feed, progress)
    if isinstance(opened, str):
        logger.warning("rebuilding %s: %s", projection.name, opened)
        delete(path_of(folder, number, projection.name))
        opened = _open(part, feed, progress)
    if isinstance(opened, str):
        raise DataFolderError(f"{projection.name} cannot be rebuilt: {opened}")
    return opened


def follow_others(
    folder: Path, number: int, feed: Feed, progress: Progress | None = None
) -> OtherRunners:
    """Return the runners of all projections of other packages. Reports errors, raises none."""
    projections, found = other_projections()
    runners: dict[str, Runner] = {}
    broken = dict(found)
    for projection in projections:
        try:
            runners[projection.name] = follow(folder, number, projection, feed, progress)
        except Exception as error:
            broken[projection.name] = report_unusable(projection.name, error)
    return OtherRunners(runners, broken)


def _open(
    open_database: Callable[[], Database], feed: Feed, progress: Progress | None
) -> Runner | str:
    """Return the runner of a file, caught up; or the reason why the file cannot be used."""
    try:
        database = open_database()
    except sqlite3.DatabaseError as error:
        return _corruption(error)
    try:
        checked = _check(database, feed, progress)
    except BaseException:
        database.close()
        raise
    if isinstance(checked, str):
        database.close()
    return checked


def _check(database: Database, feed: Feed, progress: Progress | None) -> Runner | str:
    try:
        if database.state == "filling":
            return "it was not filled to its end"
        migrate(database, feed.head())
        restore_indexes(database)
        runner = Runner(database, feed)
        reason = runner.disagreement()
        if reason is None:
            _catch_up(runner, progress)
    except sqlite3.DatabaseError as error:
        return _corruption(error)
    return str(runner.error) if is_corrupt(runner.error) else reason or runner


def _corruption(error: sqlite3.DatabaseError) -> str:
    """Return the message of a corruption error; raise any other error."""
    if not is_corrupt(error):
        raise error
    return str(error)


def _build_next(
    folder: Path, feed: Feed, progress: Progress | None, projections: Sequence[Projection]
) -> Runner:
    existing = numbers(folder)
    database = open_next(folder, projections)
    migrate(database)
    runner = Runner(database, feed)
    _catch_up(runner, progress)
    if runner.error is None:
        for number in existing[:-1]:  # a rollback needs the last
            remove(folder, number)
    return runner


def _catch_up(runner: Runner, progress: Progress | None) -> None:
    fill_new(runner, progress or no_progress)
    runner.catch_up(progress)
    if runner.error is None:
        runner.database.declare("ready")
