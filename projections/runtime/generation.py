"""A generation of the views, opened: its tables and the projections that follow, each with the
runner that fills it.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

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
    unfilled,
)
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS, TABLES
from asset_ledger.projections.runtime.row_counts import RowCounts
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import Others, follow, follow_others, start

NEAR: Final = 256
"""How many facts two generations may be apart for the one to take over in a turn: a group's."""


class Generation:
    """Opened files. `runners` are by name, `tables` is the one that the writer fills.

    `revision` is the schema that they have, by the name of the last migration. `expanded`: it has
    to be made anew, because rows lack what a migration wants; until then `unfilled` are the columns
    that are not to be asked for. `others` are those of the runners that are not ours, `broken` says
    why one has no runner.
    """

    def __init__(self, own: Mapping[str, Runner], others: Others) -> None:
        self.own = own
        self.tables = own[TABLES]
        self.runners = {**own, **others.runners}
        self.expanded = any(runner.database.expanded for runner in self.runners.values())
        self.unfilled = {name for each in own.values() for name in unfilled(each.database)}
        self.following = {n: runner for n, runner in self.runners.items() if n != TABLES}
        self.revision = max(runner.database.revision for runner in own.values())
        self.others, self.broken = frozenset(others.runners), others.broken
        files = [runner.database for runner in self.runners.values()]
        self._counts = [RowCounts(file.path, list(file.tables)) for file in files]

    @property
    def number(self) -> int:
        return self.tables.database.number

    def count_rows(self) -> dict[str, int]:
        """How many rows there are, by table, of those that are not ours too."""
        return {table: n for counts in self._counts for table, n in counts.read().items()}

    def approach(self) -> None:
        """Come near the end of the log. Raises what keeps a runner of ours from it."""
        for runner in self.own.values():
            while runner.lag > NEAR:
                turn(runner)

    def overtake(self, other: "Generation") -> None:
        """Come as far as what follows in another generation, which stands still."""
        for name, runner in self.own.items():
            while name != TABLES and runner.position < other.runners[name].position:
                turn(runner)

    def __enter__(self) -> "Generation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every file, once nobody is in a turn."""
        for runner in self.runners.values():
            runner.close()


def turn(runner: Runner) -> None:
    """Take a batch. Raises what stalls it."""
    runner.turn()
    if runner.error:
        raise runner.error


def start_generation(folder: Path, feed: Feed, progress: Progress | None = None) -> Generation:
    """The generation in use: migrated and caught up, or made anew where it cannot be trusted."""
    with ExitStack() as stack:
        own = {TABLES: start(folder, feed, progress)}
        stack.callback(own[TABLES].close)
        number = own[TABLES].database.number
        for each in FOLLOWING:
            own[each.name] = follow(folder, number, each, feed, progress)
            stack.callback(own[each.name].close)
        others = follow_others(folder, number, feed, progress)
        stack.pop_all()
        return Generation(own, others)


def open_generation(folder: Path, number: int, feed: Feed) -> Generation:
    """One that was built, or kept, as it stands. Raises DataFolderError for one that is not there,
    is not of this release's schema, or not of this log."""
    with ExitStack() as stack:
        own = {TABLES: _opened(stack, folder, number, PROJECTIONS, "", feed)}
        for each in FOLLOWING:
            own[each.name] = _opened(stack, folder, number, [each], each.name, feed)
        others = follow_others(folder, number, feed)
        stack.pop_all()
        return Generation(own, others)


def _opened(
    stack: ExitStack,
    folder: Path,
    number: int,
    projections: Sequence[Projection],
    part: str,
    feed: Feed,
) -> Runner:
    path = path_of(folder, number, part)
    if not path.exists():
        raise DataFolderError(f"there is no {path.name}")
    database = Database(folder, number, projections, part)
    stack.callback(database.close)
    if not is_current(database):
        raise DataFolderError(
            f"{path.name} has the schema {database.revision or 'of none'}, and this release "
            f"{revision_of(migrations_of(projections))}"
        )
    restore_indexes(database)
    runner = Runner(database, feed)
    if reason := runner.disagreement():
        raise DataFolderError(f"{path.name} is not to be used: {reason}")
    return runner
