"""The files of a generation that is built from the log, and their comparison with those in use.

A rebuild and `verify` make files by this code alone.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import FeedUpTo
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.rebuild.comparison import FileComparison, compare_file, stands_at
from asset_ledger.projections.runtime.bulk import begin_bulk_fill, fill
from asset_ledger.projections.runtime.database import Database
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.runner import Runner


class GenerationFiles:
    """New files of one generation in one folder, open for filling. The stack closes them."""

    def __init__(
        self, stack: ExitStack, folder: Path, number: int, feed: FeedUpTo, progress: Progress
    ) -> None:
        self._stack, self._folder, self._number = stack, folder, number
        self._feed, self._progress = feed, progress

    def open(self, projections: Sequence[Projection], part: str) -> Runner:
        """Make a file, empty, with today's schema and without the indexes of its readers."""
        database = Database(self._folder, self._number, projections, part)
        self._stack.callback(database.close)
        migrate(database)
        begin_bulk_fill(database)
        return Runner(database, self._feed)

    def fill(self, step: str, runners: Sequence[Runner], upto: int) -> None:
        """Take the log up to a position into files, side by side. Raises what `fill` does."""
        self._feed.upto = upto
        fill(runners, self._progress, step)

    def fill_like(self, in_use: Mapping[Path, Runner]) -> None:
        """Fill each file as far as the one in use stands. Reads every event once."""
        stands = [(stands_at(path, built) or 0, built) for path, built in in_use.items()]
        for upto in sorted({position for position, _ in stands}):
            self.fill("reading", [built for at, built in stands if at >= upto], upto)

    def compare(self, path: Path, built: Runner, *, with_indexes: bool = False) -> FileComparison:
        """Compare a file in use with a built one. Raises what keeps that from the position."""
        reach = partial(self._reach, built)
        return compare_file(path, built, reach, with_indexes=with_indexes)

    def _reach(self, built: Runner, position: int) -> bool:
        if built.position < position:
            self.fill("comparing", [built], position)
        return built.position == position
