"""Fill the files of a new generation from the log, and compare them with the files in use.

Both a rebuild and `verify` use this code.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial

from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import FeedUpTo
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.rebuild.comparison import FileComparison, compare_part, position_of
from asset_ledger.projections.runtime.bulk import begin_bulk_fill, end_bulk_fill, fill
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.store import Database, TableStore


class NewGenerationFiles:
    """Opens and fills new files of one generation in one folder. The stack closes them."""

    def __init__(
        self, stack: ExitStack, store: TableStore, number: int, feed: FeedUpTo, progress: Progress
    ) -> None:
        self._stack, self._store, self._number = stack, store, number
        self._feed, self._progress = feed, progress

    def open(self, projections: Sequence[Projection], part: str) -> Runner:
        """Create an empty file with the schema of this release and without indexes."""
        database = self._opened(projections, part)
        migrate(database)
        begin_bulk_fill(database)
        return Runner(database, self._feed)

    def reopen(self, projections: Sequence[Projection], part: str) -> Runner:
        """Open a file that another process has filled."""
        return Runner(self._opened(projections, part), self._feed)

    def _opened(self, projections: Sequence[Projection], part: str) -> Database:
        database = self._store.open(self._number, projections, part)
        self._stack.callback(database.close)
        return database

    def fill(self, step: str, runners: Sequence[Runner], upto: int) -> None:
        """Fill files from the log up to a position, side by side. Raises as `bulk.fill` does."""
        self._feed.upto = upto
        fill(runners, self._progress, step)

    def finish(self, runners: Sequence[Runner], position: int) -> None:
        """Fill files up to a position and make their indexes. Raises as `bulk.fill` does."""
        self.fill("reading", runners, position)
        for runner in runners:
            self._progress("indexing", position, position)
            end_bulk_fill(runner.database)

    def fill_like(self, store: TableStore, number: int, runners: Iterable[Runner]) -> None:
        """Fill each part up to the position of that in use. Reads every event once."""
        targets = [(position_of(store, number, built) or 0, built) for built in runners]
        for upto in sorted({target for target, _ in targets}):
            self.fill("reading", [built for target, built in targets if target >= upto], upto)

    def compared(
        self, store: TableStore, number: int, runners: Sequence[Runner]
    ) -> list[FileComparison]:
        """Bring each part to the position of that in use, and compare the two."""
        self.fill_like(store, number, runners)
        return [self.compare(store, number, runner) for runner in runners]

    def compare(
        self, store: TableStore, number: int, built: Runner, *, with_indexes: bool = False
    ) -> FileComparison:
        """Compare a part in use with a built one. Raises the error that stalls the built one."""
        reach = partial(self._reach, built)
        return compare_part(store, number, built, reach, with_indexes=with_indexes)

    def _reach(self, built: Runner, position: int) -> bool:
        if built.position < position:
            self.fill("comparing", [built], position)
        return built.position == position
