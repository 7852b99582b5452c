"""Verifying the tables in use: a dry-run rebuild in a scratch folder, and its comparison.

Promise: every file of the generation in use is compared, or a finding names it. All of them are
only read, so that their server may run.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.errors import DataFolderError, LedgerError
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import FeedUpTo
from asset_ledger.projections.rebuild.digest import digest
from asset_ledger.projections.rebuild.files import GenerationFiles
from asset_ledger.projections.rebuild.findings import WHOLE, row_findings
from asset_ledger.projections.rebuild.integrity import check_file, has_schema_of
from asset_ledger.projections.runtime.database import in_use, path_of
from asset_ledger.projections.runtime.installed import why
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS, others
from asset_ledger.projections.runtime.runner import Runner

OTHER_SCHEMA: Final = "has the schema of another release: start the server once"


class Verified(NamedTuple):
    """A file that was compared at a position; the digest that its tables should have, if any.

    `lag`: how many events the log is ahead, as it was when the verification began.
    """

    file: str
    position: int
    digest: str | None
    lag: int


def verify_tables(
    folder: Path, scratch: Path, feed: FeedUpTo, progress: Progress, end: int | None = None
) -> Iterator[Finding | Verified]:
    """Compare the tables in use with those that the log gives, which are made in `scratch`.

    `end`: the position that they should have reached; without it, the end of the log.
    Raises DataFolderError for tables of another release, which only a start can bring to this one.
    """
    number = in_use(folder)
    if number is None:
        for path in sorted(folder.glob("projections.g*.db")):
            yield Finding(path.name, WHOLE, "was not verified: no generation is in use")
        return
    upto = feed.end_of_log() if end is None else end
    with ExitStack() as stack:
        files = GenerationFiles(stack, scratch, number, feed, progress)
        yield from _Verification(folder, number, files, scratch, upto).run()


class _Verification:
    """One verification of one generation."""

    def __init__(
        self, folder: Path, number: int, files: GenerationFiles, scratch: Path, end: int
    ) -> None:
        self._folder, self._number = folder, number
        self._files, self._scratch, self._end = files, scratch, end

    def run(self) -> Iterator[Finding | Verified]:
        """Verify our own files, which are built side by side, then those of packages in turn."""
        packages, broken = others()
        yield from self._unknown({*broken, *(each.name for each in (*FOLLOWING, *packages))})
        yield from (Finding(name, WHOLE, reason) for name, reason in broken.items())
        yield from self._own()
        for each in packages:
            try:
                yield from self._file(each.name, self._files.open([each], each.name))
            except Exception as error:
                yield Finding(each.name, WHOLE, f"was not verified: {why(each.name, error)}")

    def _own(self) -> Iterator[Finding | Verified]:
        built = {"": self._files.open(PROJECTIONS, "")}
        built |= {each.name: self._files.open([each], each.name) for each in FOLLOWING}
        for part, runner in built.items():
            if self._is_of_another_release(part, runner):
                remedy = "or leave the tables out with --no-tables"
                raise DataFolderError(f"{self._path(part).name} {OTHER_SCHEMA}, {remedy}")
        with suppress(LedgerError, sqlite3.Error):  # each file meets its own error below
            self._files.fill_like({self._path(part): built[part] for part in built})
        for part, runner in built.items():
            yield from self._file(part, runner)

    def _unknown(self, known: Collection[str]) -> Iterator[Finding]:
        """Name the files of the generation that no projection of this installation fills."""
        for path in sorted(self._folder.glob(f"projections.g{self._number}.*.db")):
            part = path.name.split(".")[2]
            if part not in known:
                yield Finding(path.name, WHOLE, f"was not verified: {part} is not installed")

    def _file(self, part: str, built: Runner) -> Iterator[Finding | Verified]:
        path = self._path(part)
        if not path.exists():
            yield Finding(path.name, WHOLE, "is missing: the next start makes it from the log")
            return
        if self._is_of_another_release(part, built):
            yield Finding(path.name, WHOLE, OTHER_SCHEMA)
            return
        try:
            comparison = self._files.compare(path, built, with_indexes=True)
        except (LedgerError, sqlite3.Error) as error:
            yield Finding(path.name, WHOLE, f"cannot be made again: {error}")
            return
        if comparison.incomparable:
            yield Finding(path.name, WHOLE, comparison.incomparable)
            return
        yield from row_findings(comparison)
        yield from check_file(path, built.database, self._scratch)
        tables, position = built.database.tables, comparison.position
        lag = max(0, self._end - position)
        yield Verified(path.name, position, digest(tables) if tables else None, lag)
        yield from self._stalled(path, built, position)

    def _is_of_another_release(self, part: str, built: Runner) -> bool:
        path = self._path(part)
        return path.exists() and not has_schema_of(path, built.database)

    def _stalled(self, path: Path, built: Runner, position: int) -> Iterator[Finding]:
        """Find a projection that cannot go on to the end of the log, if it is not there yet."""
        if position >= self._end:
            return
        try:
            self._files.fill("reading", [built], self._end)
        except (LedgerError, sqlite3.Error) as error:
            at = f"stands at {position:,} of {self._end:,} events"
            yield Finding(path.name, WHOLE, f"{at}, and cannot reach the last one: {error}")

    def _path(self, part: str) -> Path:
        return path_of(self._folder, self._number, part)
