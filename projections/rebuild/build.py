"""Build generation N+1 from the log, beside generation N, which a server may use meanwhile.

N is only read. The built generation is not used until `adopt` or a switch. A build that fails
removes its files; a build that is killed leaves files that are marked as unfinished.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.progress import Progress, no_progress
from asset_ledger.ledger.reading.feed import Feed, FeedUpTo
from asset_ledger.projections.rebuild.comparison import GenerationComparison
from asset_ledger.projections.rebuild.digest import digest, digest_of
from asset_ledger.projections.rebuild.files import NewGenerationFiles
from asset_ledger.projections.rebuild.second_worker import (
    SECOND,
    SecondWorker,
    StartSecond,
)
from asset_ledger.projections.runtime.bulk import fill
from asset_ledger.projections.runtime.generation import open_generation
from asset_ledger.projections.runtime.installed import report_unusable
from asset_ledger.projections.runtime.previous_generation import check_usable, find_previous
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS, usable_projections
from asset_ledger.projections.runtime.runner import BATCH, Runner
from asset_ledger.projections.runtime.store import Database, TableStore, in_use, next_number

APPROACHES: Final = 20
"""How often a build follows a log that grows meanwhile. The server that takes over is faster: it
does not run at low priority."""

LONG: Final = 100_000
"""Events from which a build is divided: a second process starts in the time of a few thousand."""


class Rebuilt(NamedTuple):
    """A generation that was built, and its comparison with the one in use, if there was one.

    `digest` is that of its rows at `position`. `others` has the digests of the projections of other
    packages; `broken` has the reasons why one has none.
    """

    generation: int
    position: int
    digest: str
    others: Mapping[str, str]
    broken: Mapping[str, str]
    comparison: GenerationComparison | None

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        compared = self.comparison and self.comparison.document()
        return {**self._asdict(), "comparison": compared}


def build(
    store: TableStore,
    number: int,
    feed: Feed,
    progress: Progress = no_progress,
    start_second: StartSecond | None = None,
) -> Rebuilt:
    """Build a generation and compare it with the one in use.

    The result is within `BATCH` events of the head, unless the log grows too fast, and still marked
    `building`. Raises the error that keeps it from the head, after removing it.
    `start_second`: starts a second process, which builds some parts of a long log meanwhile.
    """
    store.remove(number)  # files of a build that was killed
    try:
        with ExitStack() as stack:
            second = None
            if start_second and feed.head() >= LONG:
                pipe = stack.enter_context(start_second(number))
                second = SecondWorker(pipe, progress)
            return _Build(stack, store, number, FeedUpTo.of(feed), progress, second).run()
    except BaseException:
        store.remove(number)
        raise


def adopt(store: TableStore, number: int) -> None:
    """Mark a built generation ready, so that the next start uses it. Keep only the previous one.

    The caller MUST hold the lock of the ledger.
    """
    before = in_use(store)
    with closing(store.open(number, PROJECTIONS)) as database:
        database.declare("ready")
    remove_older(store, number, before)


def remove_older(store: TableStore, number: int, before: int | None) -> None:
    """Delete the generations below `number` except `before`. A server may build a higher one."""
    for each in store.numbers():
        if each < number and each != before:
            store.remove(each)


def rebuild(
    store: TableStore,
    feed: Feed,
    progress: Progress = no_progress,
    start_second: StartSecond | None = None,
) -> Rebuilt:
    """Build the next generation and adopt it. Keep the previous one for a rollback.

    The caller MUST hold the lock of the ledger. Raises as `build` does.
    """
    rebuilt = build(store, next_number(store), feed, progress, start_second)
    adopt(store, rebuilt.generation)
    return rebuilt


def catch_up(store: TableStore, number: int, feed: Feed, progress: Progress = no_progress) -> None:
    """Bring a previous generation within `BATCH` events of the head. Raises DataFolderError if it
    cannot be used, or the error that stalls one of its files."""
    with closing(open_generation(store, number, feed)) as generation:
        for runner in generation.own.values():
            while runner.lag >= BATCH:
                fill([runner], progress, "catching-up")


def roll_back(store: TableStore, feed: Feed, progress: Progress = no_progress) -> int:
    """Retire the generation in use; return the number of the previous one, which replaces it.

    The caller MUST hold the lock of the ledger. Raises GenerationError if there is no previous
    generation with the schema of this release.
    """
    current = in_use(store)
    previous = check_usable(None if current is None else find_previous(store, current))
    catch_up(store, previous.generation, feed, progress)
    with closing(store.open(current or 0, PROJECTIONS)) as database:
        database.declare("retired")
    return previous.generation


class _Build:
    """One build: the open files of the generation, which the stack closes."""

    def __init__(
        self,
        stack: ExitStack,
        store: TableStore,
        number: int,
        feed: FeedUpTo,
        progress: Progress,
        second: SecondWorker | None,
    ) -> None:
        self._store, self._number, self._feed, self._second = store, number, feed, second
        self._progress = second.report if second else progress
        self._files = NewGenerationFiles(stack, store, number, feed, self._progress)
        # The main part comes first: its state marks the whole generation as unfinished.
        self._runners = [self._files.open(PROJECTIONS, "")]
        own = [each for each in FOLLOWING if second is None or each not in SECOND]
        self._runners += [self._files.open([each], each.name) for each in own]

    def run(self) -> Rebuilt:
        """Fill to the position of the generation in use, compare, fill the rest, make indexes.

        Indexes come last, since the comparison finds rows by their primary keys.
        """
        before = in_use(self._store)
        comparison = None if before is None else GenerationComparison(before, self._number)
        if comparison:
            comparison.files += self._files.compared(self._store, comparison.before, self._runners)
        if self._second:
            self._second.wait_for_comparison()
        position = self._feed.end_of_log()
        if self._second:
            self._second.fill(position)
        self._files.finish(self._runners, position)
        value = digest_of(self._tables(comparison))
        digests, broken = self._others(comparison, position)
        self._approach()
        return Rebuilt(self._number, position, value, digests, broken, comparison)

    def _tables(self, comparison: GenerationComparison | None) -> Iterator[tuple[str, Database]]:
        """Yield the tables of the digest by name: those of the second worker have the last names,
        so that the others are read while it still works."""
        yield from _in_order(self._runners)
        if self._second:
            compared = self._second.wait()
            second = [self._files.reopen([each], each.name) for each in SECOND]
            self._runners += second
            if comparison:
                comparison.files += compared
            yield from _in_order(second)

    def _others(
        self, comparison: GenerationComparison | None, position: int
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Build the projections of other packages, one by one. An error stops only its own."""
        projections, found = usable_projections(self._store)
        digests, broken = {}, dict(found)
        for each in projections:
            try:
                runner = self._files.open([each], each.name)
                if comparison and self._store.has(comparison.before, each.name):
                    before = comparison.before
                    comparison.files += self._files.compared(self._store, before, [runner])
                self._files.finish([runner], position)
                digests[each.name] = digest(runner.database.tables)
            except Exception as error:
                broken[each.name] = report_unusable(each.name, error)
        return digests, broken

    def _approach(self) -> None:
        """Fill until all files are within `BATCH` events of the head, or `APPROACHES` times."""
        for _ in range(APPROACHES):
            end = self._feed.end_of_log()
            if all(end - runner.position < BATCH for runner in self._runners):
                return
            self._files.fill("catching-up", self._runners, end)


def _in_order(runners: Sequence[Runner]) -> list[tuple[str, Database]]:
    tables = dict[str, Database]()
    for runner in runners:
        tables |= runner.database.tables
    return sorted(tables.items())
