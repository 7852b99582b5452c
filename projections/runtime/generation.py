"""A generation of the tables, opened for writing: each file with the runner that fills it.

The committer has the file of assets and jobs; the server has those of the projections that follow.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.database import Database, path_of
from asset_ledger.projections.runtime.indexes import restore_indexes
from asset_ledger.projections.runtime.migrate import (
    is_current,
    migrations_of,
    revision_of,
)
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS, TABLES
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import Others, follow, follow_others

NEAR: Final = 256
"""How many events two generations may be apart for the one to take over in a turn: a group's."""


class Generation:
    """The files of one generation that are open for writing, each with its runner.

    `own` are the runners of our projections by name, `others` those of other packages; `broken`
    says why such a projection has no runner.
    """

    def __init__(self, number: int, own: Mapping[str, Runner], others: Others) -> None:
        self.number, self.own = number, own
        self.runners = {**own, **others.runners}
        self.others, self.broken = frozenset(others.runners), others.broken

    def approach(self) -> None:
        """Come near the end of the log. Raises what keeps a runner of ours from it."""
        for runner in self.own.values():
            while runner.lag > NEAR:
                turn(runner)

    def overtake(self, other: "Generation") -> None:
        """Come as far as another generation that stands still."""
        for name, runner in self.own.items():
            while name in other.runners and runner.position < other.runners[name].position:
                turn(runner)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every file, once no turn is under way."""
        for runner in self.runners.values():
            runner.close()


def turn(runner: Runner) -> None:
    """Take a batch. Raises what stalls it."""
    runner.turn()
    if runner.error:
        raise runner.error


def start_followers(
    folder: Path, number: int, feed: Feed, progress: Progress | None = None
) -> Generation:
    """The projections that follow in a generation: caught up, or made anew if not to be trusted."""
    with ExitStack() as stack:
        own = {}
        for each in FOLLOWING:
            own[each.name] = follow(folder, number, each, feed, progress)
            stack.callback(own[each.name].close)
        others = follow_others(folder, number, feed, progress)
        stack.pop_all()
        return Generation(number, own, others)


def open_generation(folder: Path, number: int, feed: Feed) -> Generation:
    """All of a generation that was built, or kept, as it stands. Raises DataFolderError."""
    tables = open_tables(folder, number, feed)
    try:
        following = open_followers(folder, number, feed)
    except BaseException:
        tables.close()
        raise
    others = Others({name: following.runners[name] for name in following.others}, following.broken)
    return Generation(number, {TABLES: tables, **following.own}, others)


def open_followers(folder: Path, number: int, feed: Feed) -> Generation:
    """The projections that follow, in a generation that was built or kept, as they stand.

    Raises DataFolderError for a file that is missing, or has another schema or another log.
    """
    with ExitStack() as stack:
        own = {}
        for each in FOLLOWING:
            own[each.name] = _open_file(folder, number, [each], each.name, feed)
            stack.callback(own[each.name].close)
        others = follow_others(folder, number, feed)
        stack.pop_all()
        return Generation(number, own, others)


def open_tables(folder: Path, number: int, feed: Feed) -> Runner:
    """The tables of assets and jobs of a generation, as they stand. Raises DataFolderError."""
    return _open_file(folder, number, PROJECTIONS, "", feed)


def _open_file(
    folder: Path, number: int, projections: Sequence[Projection], part: str, feed: Feed
) -> Runner:
    path = path_of(folder, number, part)
    if not path.exists():
        raise DataFolderError(f"there is no {path.name}")
    database = Database(folder, number, projections, part)
    try:
        if not is_current(database):
            raise DataFolderError(
                f"{path.name} has the schema {database.revision or 'of none'}, and this release "
                f"{revision_of(migrations_of(projections))}"
            )
        restore_indexes(database)
        runner = Runner(database, feed)
        if reason := runner.disagreement():
            raise DataFolderError(f"{path.name} is not to be used: {reason}")
    except BaseException:
        database.close()
        raise
    return runner
