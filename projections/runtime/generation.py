"""A generation of tables, open for writing: each file with the runner that fills it.

The committer opens the main file, with assets and jobs. The server opens the files of the
projections that follow the log.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from asset_ledger.ledger.errors import DataFolderError, GenerationError
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.indexes import restore_indexes
from asset_ledger.projections.runtime.migrate import (
    applied_to,
    is_current,
    is_newer,
    migrations_of,
    revision_of,
)
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS, TABLES
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import OtherRunners, follow, follow_others
from asset_ledger.projections.runtime.store import TableStore

NEAR: Final = 256
"""How many events a generation may lag when it takes over: as many as one group commit has."""


class Generation:
    """The open files of one generation, each with its runner.

    `runners` has all of them by name: `own` are those of this package's projections, `others` names
    those of other packages. `broken` has the reasons why projections of other packages have none.
    """

    def __init__(self, number: int, own: Mapping[str, Runner], others: OtherRunners) -> None:
        self.number, self.own = number, own
        self.runners = {**own, **others.runners}
        self.others, self.broken = frozenset(others.runners), others.broken

    def approach(self) -> None:
        """Bring the `own` runners within `NEAR` events of the head. Raises the error of a stall."""
        for runner in self.own.values():
            while runner.lag > NEAR:
                turn(runner)

    def overtake(self, other: "Generation") -> None:
        """Bring the `own` runners to the positions of another generation, which MUST be paused."""
        for name, runner in self.own.items():
            while name in other.runners and runner.position < other.runners[name].position:
                turn(runner)

    def close(self) -> None:
        """Close every file, once no turn is under way."""
        for runner in self.runners.values():
            runner.close()


def turn(runner: Runner) -> None:
    """Take one batch from the log. Raises the error that stalls the runner."""
    runner.turn()
    if runner.error:
        raise runner.error


def start_followers(
    store: TableStore, number: int, feed: Feed, progress: Progress | None = None
) -> Generation:
    """Open the followers' files of a generation and catch up; rebuild those that cannot be used."""
    with store.starting(), ExitStack() as stack:
        own = {}
        _check_complete(store, number)
        for each in FOLLOWING:
            own[each.name] = follow(store, number, each, feed, progress)
            stack.callback(own[each.name].close)
        others = follow_others(store, number, feed, progress)
        stack.pop_all()
        return Generation(number, own, others)


def _check_complete(store: TableStore, number: int) -> None:
    """Raise GenerationError while a later release makes the parts of shared tables: this one would
    make them without its columns."""
    if not store.is_shared or all(store.has(number, each.name) for each in FOLLOWING):
        return
    if applied_to(store, number) - {each.name for each in migrations_of(PROJECTIONS)}:
        raise GenerationError(f"a later release has not made all of generation {number} yet")


def open_generation(store: TableStore, number: int, feed: Feed) -> Generation:
    """Open all files of a generation as they are. Raises as `open_followers` does."""
    tables = open_tables(store, number, feed)
    try:
        following = open_followers(store, number, feed)
    except BaseException:
        tables.close()
        raise
    runners = {name: following.runners[name] for name in following.others}
    others = OtherRunners(runners, following.broken)
    return Generation(number, {TABLES: tables, **following.own}, others)


def open_followers(store: TableStore, number: int, feed: Feed) -> Generation:
    """Open the followers' files of a generation as they are.

    Raises DataFolderError for a file that is missing, has another schema, or is of another log.
    """
    with ExitStack() as stack:
        own = {}
        for each in FOLLOWING:
            own[each.name] = _open_file(store, number, [each], each.name, feed)
            stack.callback(own[each.name].close)
        others = follow_others(store, number, feed)
        stack.pop_all()
        return Generation(number, own, others)


def open_tables(store: TableStore, number: int, feed: Feed) -> Runner:
    """Open the main file of a generation as it is. Raises DataFolderError."""
    return _open_file(store, number, PROJECTIONS, "", feed)


def _open_file(
    store: TableStore, number: int, projections: Sequence[Projection], part: str, feed: Feed
) -> Runner:
    name = store.name(number, part)
    if not store.has(number, part):
        raise DataFolderError(f"there is no {name}")
    database = store.open(number, projections, part)
    try:
        if store.is_shared and is_newer(database):
            return Runner(database, feed, fills=False)
        if not is_current(database):
            raise DataFolderError(
                f"{name} has the schema {database.revision or '(none)'}, and this release "
                f"{revision_of(migrations_of(projections))}"
            )
        restore_indexes(database)
        runner = Runner(database, feed)
        if reason := runner.disagreement():
            raise DataFolderError(f"{name} cannot be used: {reason}")
    except BaseException:
        database.close()
        raise
    return runner
