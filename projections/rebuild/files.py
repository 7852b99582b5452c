"""Fill the files of a new generation from the log, and compare them with the files in use.

Both a rebuild and `verify` use this code.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import FeedUpTo
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.rebuild.comparison import FileComparison, compare_file, position_of
from asset_ledger.projections.runtime.bulk import begin_bulk_fill, fill
from asset_ledger.projections.runtime.database import Database
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.runner import Runner


class NewGenerationFiles:
    """Opens and fills new files of one generation in one folder. The stack closes them."""

    def __init__(
        self, stack: ExitStack, folder: Path, number: int, feed: FeedUpTo, progress: Progress
    ) -> None:
        self._stack, self._folder, self._number = stack, folder, number
        self._feed, self._progress = feed, progress

    def open(self, projections: Sequence[Projection], part: str) -> Runner:
        """Create an empty file with the schema of this release and without indexes."""
        database = Database(self._folder, self._number, projections, part)
        self._stack.callback(database.close)
        migrate(database)
        begin_bulk_fill(database)
        return Runner(database, self._feed)

    def fill(self, step: str, runners: Sequence[Runner], upto: int) -> None:
        """Fill files from the log up to a position, side by side. Raises as `bulk.fill` does."""
        self._feed.upto = upto
        fill(runners, self._progress, step)

    def fill_like(self, in_use: Mapping[Path, Runner]) -> None:
        """Fill each file up to the position of the file in use. Reads every event once."""
        targets = [(position_of(path, built) or 0, built) for path, built in in_use.items()]
        for upto in sorted({target for target, _ in targets}):
            self.fill("reading", [built for target, built in targets if target >= upto], upto)

    def compare(self, path: Path, built: Runner, *, with_indexes: bool = False) -> FileComparison:
        """Compare a file in use with a built file. Raises the error that stalls the built file."""
        reach = partial(self._reach, built)
        return compare_file(path, built, reach, with_indexes=with_indexes)

    def _reach(self, built: Runner, position: int) -> bool:
        if built.position < position:
            self.fill("comparing", [built], position)
        return built.position == position
