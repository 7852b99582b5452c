"""The parts of a long log that a second process builds, while the first one builds the others.

Each reads the log. The two talk over a pipe: the second sends its progress, waits after its
comparison for the position that both fill to, fills, sends what it compared, and ends.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from multiprocessing.connection import Connection
from typing import Final

from asset_ledger.ledger.errors import LedgerError, RebuildError
from asset_ledger.ledger.progress import Progress, ThrottledProgress
from asset_ledger.ledger.reading.feed import Feed, FeedUpTo
from asset_ledger.projections.rebuild.comparison import FileComparison
from asset_ledger.projections.rebuild.files import NewGenerationFiles
from asset_ledger.projections.runtime.registry import FOLLOWING
from asset_ledger.projections.runtime.store import TableStore, in_use

SECOND: Final = [each for each in FOLLOWING if each.name in ("usage", "search")]
"""The projections of the second process, about half of the work. The digest has their tables last,
since they have the last names."""

INTERVAL: Final = 0.5
"""Seconds between two messages about progress, at least: few enough for a pipe that waits."""

StartSecond = Callable[[int], AbstractContextManager[Connection]]
"""Start a process that runs `build_second` for a generation. The block ends it."""


class SecondWorker:
    """The second process, as the first one sees it. Its methods raise RebuildError if it fails."""

    def __init__(self, pipe: Connection, progress: Progress) -> None:
        self._pipe, self._progress = pipe, progress
        self._last = ("reading", 0, 0)
        self._is_compared = False
        self._built: list[FileComparison] | None = None

    def report(self, step: str, position: int, target: int) -> None:
        """Report the progress of this process, or of the second one if that is behind."""
        while self._built is None and self._pipe.poll():
            self._receive()
        if self._built is None and self._last[1] < position:
            step, position, _ = self._last
        self._progress(step, position, target)

    def wait_for_comparison(self) -> None:
        """Wait until the second process has compared its parts."""
        while not self._is_compared:
            self._receive_and_report()

    def fill(self, position: int) -> None:
        """Let the second process fill its parts up to a position, and make their indexes."""
        with suppress(OSError):  # it has died: `wait` raises
            self._pipe.send(position)

    def wait(self) -> list[FileComparison]:
        """Wait until its parts are built; return what it compared."""
        while self._built is None:
            self._receive_and_report()
        return self._built

    def _receive_and_report(self) -> None:
        self._receive()
        self._progress(*self._last)

    def _receive(self) -> None:
        try:
            kind, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise RebuildError("a rebuild process died; start the rebuild again") from error
        match kind:
            case "progress":
                self._last = value
            case "compared":
                self._is_compared = True
            case "built":
                self._built = value
            case "error":
                raise RebuildError(value)


def build_second(store: TableStore, number: int, feed: Feed, pipe: Connection) -> None:
    """Build the second parts of a generation, in the second process."""

    def send(step: str, position: int, target: int) -> None:
        pipe.send(("progress", (step, position, target)))

    try:
        with ExitStack() as stack:
            limited, progress = FeedUpTo.of(feed), ThrottledProgress(send, INTERVAL)
            files = NewGenerationFiles(stack, store, number, limited, progress)
            compared = _build(files, store, pipe)
        pipe.send(("built", compared))  # once its files are closed
    except LedgerError as error:
        pipe.send(("error", str(error)))
    except Exception as error:
        pipe.send(("error", f"{type(error).__name__}: {error}"))


def _build(
    files: NewGenerationFiles, store: TableStore, pipe: Connection
) -> Sequence[FileComparison]:
    runners = [files.open([each], each.name) for each in SECOND]
    before = in_use(store)
    compared = [] if before is None else files.compared(store, before, runners)
    pipe.send(("compared", None))
    files.finish(runners, pipe.recv())
    return compared
