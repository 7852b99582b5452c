"""Follow a running NodeTool: import its database again whenever it changed.

Promise: each pass is a whole import, so nothing is recorded twice, and a pass that a kill or a
locked database ended is made up by the next one.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, Literal, Protocol

from asset_ledger.api.imports.destinations import Destination, JobEvent, Sent
from asset_ledger.api.imports.errors import SourceError
from asset_ledger.api.imports.nodetool import (
    ImportCounts,
    ImportNote,
    ItemOnDisk,
    Report,
    import_nodetool,
)
from asset_ledger.api.imports.nodetool_files import AssetFiles
from asset_ledger.api.imports.nodetool_rows import Item
from asset_ledger.api.imports.nodetool_table import NodeToolRow, open_table
from asset_ledger.api.imports.nodetool_times import Times
from asset_ledger.ledger.commands.imports import Imported, Presence
from asset_ledger.ledger.errors import UnavailableError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.progress import Progress

POLL: Final = 1.0
"""Seconds between two looks at the files of the database."""

SHARE: Final = 4
"""A pass is followed by a rest of so many times its duration."""

SETTLED: Final = 2.0
"""Seconds without a change after which a file is complete."""

MISSING: Final = 10.0
"""Seconds that NodeTool has to write the file of a row."""

AGAIN: Final = 60.0
"""Seconds until a pass without a change: two changes can have one time."""

_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Remembering:
    """A destination that remembers what the ledger has, so that a pass asks for new rows only."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self.assets = set[str]()
        """The ids of the assets that the ledger has with their contents."""
        self._jobs = set[tuple[str, str, Literal["start", "finish"]]]()

    async def present(self, asset_ids: Sequence[AssetId]) -> Mapping[AssetId, Presence]:
        """Return which assets the ledger has, by id."""
        found = await self._destination.present(asset_ids)
        self.assets.update(each for each, presence in found.items() if presence == "known")
        return found

    async def add(self, batch: Sequence[Sent]) -> Sequence[Imported]:
        """Record assets."""
        return await self._destination.add(batch)

    async def add_job_event(self, event: JobEvent) -> bool:
        """Record a start or an end unless the job has one. Return whether it was recorded."""
        key = event.user_id, event.job_id, event.verb
        if key in self._jobs:
            return False
        recorded = await self._destination.add_job_event(event)
        self._jobs.add(key)
        return recorded


class NewAndSettled:
    """The choice of a pass: assets that the ledger lacks, once their files are complete."""

    def __init__(self, known: AbstractSet[str]) -> None:
        self._known = known
        self._since: dict[AssetId, float] = {}

    def knows(self, row: NodeToolRow) -> bool:
        """Return whether the ledger has the asset of a row."""
        return str(row.id).replace("-", "").lower() in self._known

    def holds(self, found: ItemOnDisk) -> bool:
        """Return whether NodeTool may still write the file of an asset."""
        if found.item.is_folder:
            return False
        if found.path is not None:
            return 0 <= time.time() - found.modified < SETTLED
        since = self._since.setdefault(found.item.asset_id, time.monotonic())
        return time.monotonic() - since < MISSING


class ListedWhenNeeded:
    """The contents of a NodeTool, whose folder is listed for the first asset."""

    def __init__(self, listing: Callable[[], AssetFiles]) -> None:
        self._listing = listing
        self._files: AssetFiles | None = None

    def find(self, item: Item) -> Path | str:
        """Return the file of an asset, or the reason why it has none. Raises SourceError."""
        if self._files is None:
            self._files = self._listing()
        return self._files.find(item)


class WatchReport(Protocol):
    """Takes what a watch of NodeTool does."""

    def passed(self, counts: ImportCounts) -> None:
        """Take the counts of a pass."""

    def wait(self, reason: str) -> None:
        """Take why there is no pass now."""


class NodeToolWatch:
    """Imports a database again and again. `files` lists its contents anew."""

    def __init__(
        self,
        db: Path,
        files: Callable[[], AssetFiles],
        times: Times,
        destination: Destination,
        note: Report,
        report: WatchReport,
    ) -> None:
        self._db, self._files, self._times = db, files, times
        self._destination = Remembering(destination)
        self._note, self._noted, self._report = note, set[ImportNote](), report
        self._choice = NewAndSettled(self._destination.assets)

    async def follow(self, progress: Progress) -> None:
        """Import for ever. Raises SourceError if the first pass cannot read the source."""
        imported = False
        while True:
            state, began = _state(self._db), time.monotonic()
            try:
                counts = await self._pass(progress)
            except (SourceError, UnavailableError) as error:
                if not imported and not _may_pass(error):
                    raise
                self._report.wait(str(error))
                await asyncio.sleep(SETTLED)
                continue
            imported = True
            self._report.passed(counts)
            await asyncio.sleep(max(POLL, (time.monotonic() - began) * SHARE))
            if not counts.held:
                await self._changed(state)

    async def _pass(self, progress: Progress) -> ImportCounts:
        with open_table(self._db) as table:
            return await import_nodetool(
                table,
                ListedWhenNeeded(self._files),
                self._times,
                self._destination,
                self._note_once,
                progress,
                self._choice,
            )

    async def _changed(self, state: Sequence[object]) -> None:
        """Wait until the files of the database differ from a state, at most a minute."""
        for _ in range(int(AGAIN / POLL)):
            if _state(self._db) != state:
                return
            await asyncio.sleep(POLL)

    def _note_once(self, note: ImportNote) -> None:
        if note not in self._noted:
            self._noted.add(note)
            self._note(note)


def _state(db: Path) -> Sequence[object]:
    """Return what changes with each commit, and when another file takes the place of the database.

    SQLite writes a commit to the database, or to the file `-wal` beside it.
    """
    return [_stat(db), _stat(db.with_name(f"{db.name}-wal"))]


def _stat(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _may_pass(error: Exception) -> bool:
    """Return whether a later pass may not meet an error: an unreachable ledger, or a lock."""
    return isinstance(error, UnavailableError) or (
        getattr(error.__cause__, "sqlite_errorcode", None) in _BUSY
    )
