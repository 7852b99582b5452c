"""Verify the tables in use: rebuild them in a scratch folder, and compare.

Every file of the generation in use is compared, or a finding names it. The files are only read, so
a server may have them open.
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
from asset_ledger.projections.rebuild.files import NewGenerationFiles
from asset_ledger.projections.rebuild.findings import WHOLE, row_findings
from asset_ledger.projections.rebuild.integrity import (
    check_file,
    has_schema_of,
    integrity_findings,
)
from asset_ledger.projections.runtime.installed import report_unusable
from asset_ledger.projections.runtime.registry import FOLLOWING, PROJECTIONS, other_projections
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.store import in_use
from asset_ledger.projections.runtime.table_files import TableFiles

OTHER_SCHEMA: Final = "has the schema of another release: start the server once"


class Verified(NamedTuple):
    """A file that was compared at a position.

    `digest` is the correct digest of its tables, None if it covers none of them. `lag` is how many
    events the log was ahead when the verification began.
    """

    file: str
    position: int
    digest: str | None
    lag: int


def verify_tables(
    folder: Path, scratch: Path, feed: FeedUpTo, progress: Progress, end: int | None = None
) -> Iterator[Finding | Verified]:
    """Compare the tables in use with tables that are built from the log in `scratch`.

    `end`: the position that the tables should have reached, by default the end of the log.
    Raises DataFolderError for tables of another release, which only a start migrates.
    """
    tables = TableFiles(folder)
    number = in_use(tables)
    if number is None:
        for path in sorted(folder.glob("projections.g*.db")):
            yield Finding(path.name, WHOLE, "was not verified: no generation is in use")
        return
    upto = feed.end_of_log() if end is None else end
    with ExitStack() as stack:
        files = NewGenerationFiles(stack, TableFiles(scratch), number, feed, progress)
        yield from _Verification(tables, number, files, scratch, upto).run()


def check_pages(folder: Path) -> Iterator[Finding]:
    """Run SQLite's integrity check on every file of tables, if the log cannot be read."""
    for path in sorted(folder.glob("projections.g*.db")):
        yield from integrity_findings(path)


class _Verification:
    """One verification of one generation."""

    def __init__(
        self, tables: TableFiles, number: int, files: NewGenerationFiles, scratch: Path, end: int
    ) -> None:
        self._tables, self._number = tables, number
        self._files, self._scratch, self._end = files, scratch, end

    def run(self) -> Iterator[Finding | Verified]:
        """Verify this package's files, built side by side, then those of other packages in turn."""
        packages, broken = other_projections()
        yield from self._unknown({*broken, *(each.name for each in (*FOLLOWING, *packages))})
        yield from (Finding(name, WHOLE, reason) for name, reason in broken.items())
        yield from self._own()
        for each in packages:
            try:
                yield from self._file(each.name, self._files.open([each], each.name))
            except Exception as error:
                reason = report_unusable(each.name, error)
                yield Finding(each.name, WHOLE, f"was not verified: {reason}")

    def _own(self) -> Iterator[Finding | Verified]:
        built = {"": self._files.open(PROJECTIONS, "")}
        built |= {each.name: self._files.open([each], each.name) for each in FOLLOWING}
        for part, runner in built.items():
            if self._is_of_another_release(part, runner):
                remedy = "or leave the tables out with --no-tables"
                raise DataFolderError(f"{self._path(part).name} {OTHER_SCHEMA}, {remedy}")
        with suppress(LedgerError, sqlite3.Error):  # `_file` reports the error of each file
            self._files.fill_like(self._tables, self._number, built.values())
        for part, runner in built.items():
            yield from self._file(part, runner)

    def _unknown(self, known: Collection[str]) -> Iterator[Finding]:
        """Yield a finding for each file that no installed projection fills."""
        for path in sorted(self._tables.folder.glob(f"projections.g{self._number}.*.db")):
            part = path.name.split(".")[2]
            if part not in known:
                yield Finding(path.name, WHOLE, f"was not verified: {part} is not installed")

    def _file(self, part: str, built: Runner) -> Iterator[Finding | Verified]:
        path = self._path(part)
        if not path.exists():
            yield Finding(path.name, WHOLE, "is missing: the next start builds it from the log")
            return
        if self._is_of_another_release(part, built):
            yield Finding(path.name, WHOLE, OTHER_SCHEMA)
            return
        try:
            comparison = self._files.compare(self._tables, self._number, built, with_indexes=True)
        except (LedgerError, sqlite3.Error) as error:
            yield Finding(path.name, WHOLE, f"cannot be rebuilt: {error}")
            yield from integrity_findings(path)
            return
        if comparison.incomparable:
            yield Finding(path.name, WHOLE, comparison.incomparable)
            pages = integrity_findings(path)
            yield from (each for each in pages if each.what not in comparison.incomparable)
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
        """Yield a finding if the file cannot be filled to the end of the log."""
        if position >= self._end:
            return
        try:
            self._files.fill("reading", [built], self._end)
        except (LedgerError, sqlite3.Error) as error:
            at = f"is at {position:,} of {self._end:,} events"
            yield Finding(path.name, WHOLE, f"{at}, and cannot reach the last one: {error}")

    def _path(self, part: str) -> Path:
        return self._tables.path(self._number, part)
