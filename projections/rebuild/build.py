"""Generation N+1, built from the log beside N, which may be in use: N is only read.

Promise: until somebody adopts it, what was built changes nothing; a build that fails removes what
it made, and one that is killed leaves a file that says that it is not whole.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.progress import Progress, no_progress
from asset_ledger.ledger.reading.feed import Feed, FeedUpTo
from asset_ledger.projections.rebuild.comparison import GenerationComparison
from asset_ledger.projections.rebuild.digest import digest
from asset_ledger.projections.rebuild.files import GenerationFiles
from asset_ledger.projections.runtime.bulk import end_bulk_fill, fill
from asset_ledger.projections.runtime.database import Database, in_use, numbers, path_of, remove
from asset_ledger.projections.runtime.generation import open_generation
from asset_ledger.projections.runtime.installed import why
from asset_ledger.projections.runtime.previous_generation import check_usable, find_previous
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS, others
from asset_ledger.projections.runtime.runner import BATCH, Runner

APPROACHES: Final = 20
"""How often a build runs after a log that grows. The server that takes over is not as nice as it
is: it is the faster one."""


class Rebuilt(NamedTuple):
    """What was made: which generation, the digest of its rows at a position, and how it compares
    to the one in use, where there is one.

    `others`: the digests of the projections that are not ours, and `broken` why one has none.
    """

    generation: int
    position: int
    digest: str
    others: Mapping[str, str]
    broken: Mapping[str, str]
    comparison: GenerationComparison | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        compared = self.comparison and self.comparison.document()
        return {**self._asdict(), "comparison": compared}


def next_number(folder: Path) -> int:
    """What the next generation is called: no number is used twice."""
    return max(numbers(folder), default=0) + 1


def build(folder: Path, number: int, feed: Feed, progress: Progress = no_progress) -> Rebuilt:
    """Make this generation of the whole log, and compare it to the one in use.

    It is whole then, at or near the end of the log, and still marked `building`. Raises what kept
    it from the end of the log, and has removed it then.
    """
    remove(folder, number)  # what is left of an attempt that was killed
    try:
        with ExitStack() as stack:
            return _Build(stack, folder, number, FeedUpTo.of(feed), progress).run()
    except BaseException:
        remove(folder, number)
        raise


def adopt(folder: Path, number: int) -> None:
    """Put a generation that was built in use, for the next start; keep only the one before it.

    The caller holds the folder's lock.
    """
    before = in_use(folder)
    with closing(Database(folder, number, PROJECTIONS)) as database:
        database.declare("ready")
    remove_all_but(folder, {before, number})


def remove_all_but(folder: Path, kept: set[int | None]) -> None:
    """Delete every generation but these."""
    for number in set(numbers(folder)) - kept:
        remove(folder, number)


def rebuild(folder: Path, feed: Feed, progress: Progress = no_progress) -> Rebuilt:
    """Build the next generation and put it in use for the next start, in a folder that is ours.

    The generation before is kept until the next time. Raises what `build` does.
    """
    rebuilt = build(folder, next_number(folder), feed, progress)
    adopt(folder, rebuilt.generation)
    return rebuilt


def catch_up(folder: Path, number: int, feed: Feed, progress: Progress = no_progress) -> None:
    """Bring a generation that was kept to the end of the log, or near it. Raises DataFolderError
    where it cannot be used any more, and what keeps it from there."""
    with open_generation(folder, number, feed) as generation:
        for runner in generation.own.values():
            while runner.lag >= BATCH:
                fill([runner], progress, "catching-up")


def roll_back(folder: Path, feed: Feed, progress: Progress = no_progress) -> int:
    """Put the generation before in use for the next start, in a folder that is ours; its number.

    Raises GenerationError where there is none of this release's schema.
    """
    current = in_use(folder)
    kept = check_usable(None if current is None else find_previous(folder, current))
    catch_up(folder, kept.generation, feed, progress)
    with closing(Database(folder, current or 0, PROJECTIONS)) as database:
        database.declare("retired")
    return kept.generation


class _Build:
    """The files of one generation, open. The stack closes them."""

    def __init__(
        self, stack: ExitStack, folder: Path, number: int, feed: FeedUpTo, progress: Progress
    ) -> None:
        self._folder, self._number = folder, number
        self._feed, self._progress = feed, progress
        self._files = GenerationFiles(stack, folder, number, feed, progress)
        # First the file that says that the generation is not whole.
        self._parts = {"": self._files.open(PROJECTIONS, "")}
        self._parts |= {each.name: self._files.open([each], each.name) for each in FOLLOWING}

    def run(self) -> Rebuilt:
        """Fill up to where the generation in use stands, compare, fill the rest, make indexes.

        Neither filling nor comparing needs indexes: rows are found by their keys.
        """
        before = in_use(self._folder)
        comparison = None if before is None else GenerationComparison(before, self._number)
        if comparison:
            self._compare(comparison, self._parts)
        position = self._feed.end_of_log()
        self._finish(self._runners, position)
        tables: dict[str, sqlite3.Connection] = {}
        for runner in self._runners:
            tables |= runner.database.tables
        value = digest(tables)
        digests, broken = self._others(comparison, position)
        self._approach()
        return Rebuilt(self._number, position, value, digests, broken, comparison)

    def _finish(self, runners: Sequence[Runner], position: int) -> None:
        self._files.fill("reading", runners, position)
        for runner in runners:
            self._progress("indexing", position, position)
            end_bulk_fill(runner.database)

    def _others(
        self, comparison: GenerationComparison | None, position: int
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Build the projections of other packages, one by one: none of them fails the rest."""
        projections, found = others()
        digests, broken = {}, dict(found)
        for each in projections:
            try:
                runner = self._files.open([each], each.name)
                if comparison:
                    self._compare(comparison, {each.name: runner})
                self._finish([runner], position)
                digests[each.name] = digest(runner.database.tables)
            except Exception as error:
                broken[each.name] = why(each.name, error)
        return digests, broken

    @property
    def _runners(self) -> list[Runner]:
        return list(self._parts.values())

    def _compare(self, comparison: GenerationComparison, parts: Mapping[str, Runner]) -> None:
        """Compare each file in use with the built one."""
        paths = {path_of(self._folder, comparison.before, part): parts[part] for part in parts}
        self._files.fill_like(paths)
        for path, runner in paths.items():
            comparison.files.append(self._files.compare(path, runner))

    def _approach(self) -> None:
        """Come near the end of a log that grows meanwhile."""
        for _ in range(APPROACHES):
            end = self._feed.end_of_log()
            if all(end - runner.position < BATCH for runner in self._runners):
                return
            self._files.fill("catching-up", self._runners, end)
