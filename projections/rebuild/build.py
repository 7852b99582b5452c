"""Generation N+1, built from the log beside N, which may be in use: N is only read.

Promise: until somebody adopts it, what was built changes nothing; a build that fails removes what
it made, and one that is killed leaves a file that says that it is not whole.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from asset_ledger.ledger.reading.feed import Feed, FeedUpTo
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.rebuild.comparison import Comparison, stands_at
from asset_ledger.projections.rebuild.digest import digest
from asset_ledger.projections.runtime.bulk import fill, hasten, secure
from asset_ledger.projections.runtime.database import Database, in_use, numbers, path_of, remove
from asset_ledger.projections.runtime.generation import open_generation
from asset_ledger.projections.runtime.installed import why
from asset_ledger.projections.runtime.kept_generation import kept_before, usable
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS, others
from asset_ledger.projections.runtime.runner import BATCH, Runner

Step = Literal["reading", "indexing", "comparing", "catching-up"]

Report = Callable[[Step, int, int], None]
"""Called with what is being done, the position it has come to, and the one to reach."""

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
    comparison: Comparison | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        compared = self.comparison and self.comparison.document()
        return {**self._asdict(), "comparison": compared}


def silent(step: Step, position: int, target: int) -> None:
    """A report to nobody."""


def next_number(folder: Path) -> int:
    """What the next generation is called: no number is used twice."""
    return max(numbers(folder), default=0) + 1


def build(folder: Path, number: int, feed: Feed, report: Report = silent) -> Rebuilt:
    """Make this generation of the whole log, and compare it to the one in use.

    It is whole then, at or near the end of the log, and still marked `building`. Raises what kept
    it from the end of the log, and has removed it then.
    """
    remove(folder, number)  # what is left of an attempt that was killed
    try:
        with ExitStack() as stack:
            return _Build(stack, folder, number, FeedUpTo.of(feed), report).run()
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
    remove_but(folder, {before, number})


def remove_but(folder: Path, kept: set[int | None]) -> None:
    """Delete every generation but these."""
    for number in set(numbers(folder)) - kept:
        remove(folder, number)


def rebuild(folder: Path, feed: Feed, report: Report = silent) -> Rebuilt:
    """Build the next generation and put it in use for the next start, in a folder that is ours.

    The generation before is kept until the next time. Raises what `build` does.
    """
    rebuilt = build(folder, next_number(folder), feed, report)
    adopt(folder, rebuilt.generation)
    return rebuilt


def catch_up(folder: Path, number: int, feed: Feed, report: Report = silent) -> None:
    """Bring a generation that was kept to the end of the log, or near it. Raises DataFolderError
    where it cannot be used any more, and what keeps it from there."""
    with open_generation(folder, number, feed) as generation:
        for runner in generation.own.values():
            while runner.lag >= BATCH:
                fill([runner], partial(report, "catching-up"))


def roll_back(folder: Path, feed: Feed, report: Report = silent) -> int:
    """Put the generation before in use for the next start, in a folder that is ours; its number.

    Raises GenerationError where there is none of this release's schema.
    """
    current = in_use(folder)
    kept = usable(None if current is None else kept_before(folder, current))
    catch_up(folder, kept.generation, feed, report)
    with closing(Database(folder, current or 0, PROJECTIONS)) as database:
        database.declare("retired")
    return kept.generation


class _Build:
    """The files of one generation, open. The stack closes them."""

    def __init__(
        self, stack: ExitStack, folder: Path, number: int, feed: FeedUpTo, report: Report
    ) -> None:
        self._stack, self._folder, self._number = stack, folder, number
        self._feed, self._report = feed, report
        self._parts = {"": self._open(PROJECTIONS, "")}  # first: it says that it is not whole
        self._parts |= {each.name: self._open([each], each.name) for each in FOLLOWING}

    def _open(self, projections: Sequence[Projection], part: str) -> Runner:
        database = Database(self._folder, self._number, projections, part)
        self._stack.callback(database.close)
        migrate(database)
        hasten(database)
        return Runner(database, self._feed)

    def run(self) -> Rebuilt:
        """Rows up to where the generation in use stands; the comparison; the rest; indexes.

        Neither filling nor comparing needs those: rows are found by their keys.
        """
        before = in_use(self._folder)
        comparison = None if before is None else Comparison(before, self._number)
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
        self._fill("reading", runners, position)
        for runner in runners:
            self._report("indexing", position, position)
            secure(runner.database)

    def _others(
        self, comparison: Comparison | None, position: int
    ) -> tuple[dict[str, str], dict[str, str]]:
        """The projections that are not ours, one after the other: none of them fails the rest."""
        projections, found = others()
        digests, broken = {}, dict(found)
        for each in projections:
            try:
                runner = self._open([each], each.name)
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

    def _compare(self, comparison: Comparison, parts: Mapping[str, Runner]) -> None:
        """Each file with its twin in use, at the position that this one stands at."""
        files = {
            path_of(self._folder, comparison.before, part): runner
            for part, runner in parts.items()
            if runner.database.tables
        }
        stand = [stands_at(path, self._feed) for path in files]
        upto = min((at for at in stand if at is not None), default=0)
        self._fill("reading", list(parts.values()), upto)
        for path, runner in files.items():
            comparison.add(path, runner.database, self._feed, partial(self._reach, runner))

    def _reach(self, runner: Runner, position: int) -> bool:
        if runner.position < position:
            self._feed.upto = position
            fill([runner], partial(self._report, "comparing"))
        return runner.position == position

    def _fill(self, step: Step, runners: Sequence[Runner], upto: int) -> None:
        self._feed.upto = upto
        fill(runners, partial(self._report, step))

    def _approach(self) -> None:
        """Come near the end of a log that grows meanwhile."""
        for _ in range(APPROACHES):
            end = self._feed.end_of_log()
            if all(end - runner.position < BATCH for runner in self._runners):
                return
            self._fill("catching-up", self._runners, end)
