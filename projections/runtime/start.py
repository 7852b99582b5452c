"""Open the tables at a start: check them, migrate them, and catch up with the log.

A main file that cannot be used is left alone. The next generation is built beside it and takes over
in one step, so that a start that is killed has changed nothing.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.progress import Progress, no_progress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.bulk import fill_new
from asset_ledger.projections.runtime.indexes import restore_indexes
from asset_ledger.projections.runtime.installed import report_unusable
from asset_ledger.projections.runtime.migrate import applied_to, is_newer, migrate, missing_in
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS, usable_projections
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.store import (
    Database,
    TableStore,
    in_use,
    next_number,
    open_current,
)

logger = logging.getLogger(__name__)


class OtherRunners(NamedTuple):
    """The runners of other packages' projections, and the reasons of those without one, by name."""

    runners: Mapping[str, Runner]
    broken: Mapping[str, str]


def start(
    store: TableStore,
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
    current = partial(open_current, store, projections, keep_others=keep_others)
    opened = _outdated(store) or _open(store, current, feed, progress)
    if isinstance(opened, Runner):
        return opened
    logger.warning("rebuilding the tables: %s", opened)
    return _build_next(store, feed, progress, projections)


def follow(
    store: TableStore,
    number: int,
    projection: Projection,
    feed: Feed,
    progress: Progress | None = None,
) -> Runner:
    """Return the runner of a projection with a file of its own, caught up, or rebuilt in place.

    A runner that cannot take all events is stalled, with `error` set.
    """
    part = partial(store.open, number, [projection], projection.name)
    opened = _open(store, part, feed, progress)
    if isinstance(opened, str):
        logger.warning("rebuilding %s: %s", projection.name, opened)
        store.remove_part(number, projection.name)
        opened = _open(store, part, feed, progress)
    if isinstance(opened, str):
        raise DataFolderError(f"{projection.name} cannot be rebuilt: {opened}")
    return opened


def follow_others(
    store: TableStore, number: int, feed: Feed, progress: Progress | None = None
) -> OtherRunners:
    """Return the runners of all projections of other packages. Reports errors, raises none."""
    projections, found = usable_projections(store)
    runners: dict[str, Runner] = {}
    broken = dict(found)
    for projection in projections:
        try:
            runners[projection.name] = follow(store, number, projection, feed, progress)
        except Exception as error:
            broken[projection.name] = report_unusable(projection.name, error)
    return OtherRunners(runners, broken)


def _outdated(store: TableStore) -> str | None:
    """Return why shared tables are left alone: servers of an earlier release fill them.

    Else they would fill the columns of this release with nothing.
    """
    number = in_use(store) if store.is_shared else None
    if number is None:
        return None
    parts = {"": PROJECTIONS, **{each.name: (each,) for each in FOLLOWING}}
    for part, projections in parts.items():
        if not store.has(number, part):
            continue
        if missing := missing_in(applied_to(store, number, part), projections):
            return f"an earlier release made generation {number}, without {min(missing)}"
    return None


def _open(
    store: TableStore,
    open_database: Callable[[], Database],
    feed: Feed,
    progress: Progress | None,
) -> Runner | str:
    """Return the runner of a file, caught up; or the reason why the file cannot be used."""
    try:
        database = open_database()
    except store.errors as error:
        return _corruption(store, error)
    try:
        checked = _check(store, database, feed, progress)
    except BaseException:
        database.close()
        raise
    if isinstance(checked, str):
        database.close()
    return checked


def _check(
    store: TableStore, database: Database, feed: Feed, progress: Progress | None
) -> Runner | str:
    try:
        if database.state == "filling":
            return "it was not filled to its end"
        if store.is_shared and database.part and is_newer(database):
            return Runner(database, feed, fills=False)
        migrate(database, feed.head())
        restore_indexes(database)
        runner = Runner(database, feed)
        reason = runner.disagreement()
        if reason is None:
            _catch_up(runner, progress)
    except store.errors as error:
        return _corruption(store, error)
    return str(runner.error) if store.is_corrupt(runner.error) else reason or runner


def _corruption(store: TableStore, error: Exception) -> str:
    """Return the message of a corruption error; raise any other error."""
    if not store.is_corrupt(error):
        raise error
    return str(error)


def _build_next(
    store: TableStore, feed: Feed, progress: Progress | None, projections: Sequence[Projection]
) -> Runner:
    with store.building():
        existing = store.numbers()
        database = store.open(next_number(store), projections)
        migrate(database)
        runner = Runner(database, feed)
        _catch_up(runner, progress)
    if runner.error is None and not store.is_shared:  # another server may build one
        for number in existing[:-1]:  # a rollback needs the last
            store.remove(number)
    return runner


def _catch_up(runner: Runner, progress: Progress | None) -> None:
    fill_new(runner, progress or no_progress)
    runner.catch_up(progress)
    if runner.error is None:
        runner.database.declare("ready")
