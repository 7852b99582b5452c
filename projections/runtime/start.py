"""Filling the projections from the log, and what a start does to trust those that are there.

Projections that cannot be trusted are never touched: the next generation is made beside them and takes
over in one step, so that a start that is killed has changed nothing.
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
    is_wreck,
    numbers,
    open_current,
    open_next,
    path_of,
    remove,
)
from asset_ledger.projections.runtime.indexes import restore_indexes
from asset_ledger.projections.runtime.installed import why
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.registry import PROJECTIONS, others
from asset_ledger.projections.runtime.runner import Runner

logger = logging.getLogger(__name__)


class Others(NamedTuple):
    """The runners of the projections of others, by name, and why there are not more of them."""

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
    """The projections of this log, migrated and caught up, or made anew where they are not its own.

    `keep_others`: a rebuild may be under way, whose files are not to be removed.
    Ends stalled, with `error` set, where the log cannot be read to its end.
    """
    current = partial(open_current, folder, projections, keep_others=keep_others)
    opened = _opened(current, feed, progress)
    if isinstance(opened, Runner):
        return opened
    logger.warning("making the projections anew: %s", opened)
    return _switched(folder, feed, progress, projections)


def follow(
    folder: Path,
    number: int,
    projection: Projection,
    feed: Feed,
    progress: Progress | None = None,
) -> Runner:
    """A projection that follows, in this generation, caught up, or made anew in its place.

    Ends stalled, with `error` set, where the log cannot be read to its end.
    """
    part = partial(Database, folder, number, [projection], projection.name)
    opened = _opened(part, feed, progress)
    if isinstance(opened, str):
        logger.warning("making %s anew: %s", projection.name, opened)
        delete(path_of(folder, number, projection.name))
        opened = _opened(part, feed, progress)
    if isinstance(opened, str):
        raise DataFolderError(f"{projection.name} cannot be made: {opened}")
    return opened


def follow_others(
    folder: Path, number: int, feed: Feed, progress: Progress | None = None
) -> Others:
    """Every projection of others, as `follow` answers it. Nothing that one of them does raises."""
    projections, found = others()
    runners: dict[str, Runner] = {}
    broken = dict(found)
    for projection in projections:
        try:
            runners[projection.name] = follow(folder, number, projection, feed, progress)
        except Exception as error:
            broken[projection.name] = why(projection.name, error)
    return Others(runners, broken)


def _opened(
    open_database: Callable[[], Database], feed: Feed, progress: Progress | None
) -> Runner | str:
    """The runner of a file, caught up; or why it is not to be used, and then it is closed."""
    try:
        database = open_database()
    except sqlite3.DatabaseError as error:
        return _wreck(error)
    try:
        trusted = _trusted(database, feed, progress)
    except BaseException:
        database.close()
        raise
    if isinstance(trusted, str):
        database.close()
    return trusted


def _trusted(database: Database, feed: Feed, progress: Progress | None) -> Runner | str:
    try:
        if database.state == "filling":
            return "nobody has filled it to its end"
        migrate(database, feed.head())
        restore_indexes(database)
        runner = Runner(database, feed)
        reason = runner.disagreement()
        if reason is None:
            _catch_up(runner, progress)
    except sqlite3.DatabaseError as error:
        return _wreck(error)
    return str(runner.error) if is_wreck(runner.error) else reason or runner


def _wreck(error: sqlite3.DatabaseError) -> str:
    """What SQLite says of a wrecked file. Raises any other error on."""
    if not is_wreck(error):
        raise error
    return str(error)


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
    fill_new(runner, progress or no_progress)
    runner.catch_up(progress)
    if runner.error is None:
        runner.database.declare("ready")
