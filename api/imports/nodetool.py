"""Import a NodeTool database: its assets with their ids, times, folders and contents.

Promise: every row that can be an asset is imported, whatever the other rows hold. Run again, also
after a kill, the import adds new assets and changes no other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from asset_ledger.api.imports.destinations import Destination, Sent
from asset_ledger.api.imports.errors import reading
from asset_ledger.api.imports.nodetool_folders import NodeToolFolders
from asset_ledger.api.imports.nodetool_jobs import JobCounts, NodeToolJobs
from asset_ledger.api.imports.nodetool_rows import Item, item_of
from asset_ledger.api.imports.nodetool_table import NodeToolRow, Table
from asset_ledger.api.imports.nodetool_times import Times
from asset_ledger.ledger.commands.imports import MOST, Imported, Presence
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.progress import Progress

BATCH_BYTES: Final = 64 << 20
"""Bytes of contents in one batch, at most. A kill repeats at most one batch."""


class ImportNote(NamedTuple):
    """A value or a row that was not imported. `id`: as the database has it."""

    id: str
    what: str


Report = Callable[[ImportNote], None]


@dataclass(slots=True)
class ImportCounts:
    """The rows by outcome. `without_bytes`: in the ledger, but without their content.

    `held`: left to a later import, because their files may not be complete.
    """

    rows: int = 0
    recorded: int = 0
    filled: int = 0
    known: int = 0
    refused: int = 0
    without_bytes: int = 0
    held: int = 0
    jobs: JobCounts = field(default_factory=JobCounts)

    @property
    def complete(self) -> bool:
        """Every row is in the ledger, with its content."""
        return not (self.refused or self.without_bytes or self.jobs.refused)


class ItemOnDisk(NamedTuple):
    """An asset and its file, changed `modified` seconds since 1970. `lacks`: why it has none."""

    item: Item
    path: Path | None
    size: int
    modified: float = 0.0
    lacks: str = ""


class Files(Protocol):
    """The contents of a NodeTool."""

    def find(self, item: Item) -> Path | str:
        """Return the file of an asset, or the reason why it has none. Raises SourceError."""


class Choice(Protocol):
    """The choice of what one import of several takes."""

    def knows(self, row: NodeToolRow) -> bool:
        """Return whether an earlier import completed a row, which need not be read again."""

    def holds(self, found: ItemOnDisk) -> bool:
        """Return whether an asset that the ledger lacks is left to a later import."""


async def import_nodetool(
    table: Table,
    files: Files,
    times: Times,
    destination: Destination,
    report: Report,
    progress: Progress,
    choice: Choice | None = None,
) -> ImportCounts:
    """Import all rows of a table. Raises SourceError, and the errors of the ledger.

    With a choice, the ends of the jobs whose assets are held back are left to a later import too:
    else those assets would be late.
    """
    counts = ImportCounts(rows=table.rows)
    jobs = NodeToolJobs(
        table,
        times,
        destination,
        counts.jobs,
        lambda job_id, what: report(ImportNote(f"job {job_id}", what)),
    )
    await jobs.start()
    if table.repeated:
        what = f"{table.repeated:,} rows repeat the id of another row: only the first is imported"
        report(ImportNote("", what))
    held: set[str] = set()
    for batch in _batches(_items(table, times, counts, report, choice), files):
        present = await destination.present([found.item.asset_id for found in batch])
        if choice is not None:
            waiting = [f for f in batch if _adds(f, present) and choice.holds(f)]
            held.update(str(f.item.fields.get("job_id")) for f in waiting)
            counts.held += len(waiting)
            batch = [found for found in batch if found not in waiting]
        new = [found for found in batch if _adds(found, present)]
        added = await destination.add([_sent(found) for found in new]) if new else ()
        counts.known += len(batch) - len(new)
        _report(batch, added, present, counts, report)
        done = counts.recorded + counts.filled + counts.known + counts.refused
        progress("importing rows", done, counts.rows)
    await jobs.finish(held)
    return counts


def _items(
    table: Table, times: Times, counts: ImportCounts, report: Report, choice: Choice | None
) -> Iterator[Item]:
    """Yield every row that can be an asset: folders first, each after its parent."""

    def read(rows: Iterator[NodeToolRow]) -> Iterator[Item]:
        for row in rows:
            item = item_of(row, times)
            if isinstance(item, Item):
                yield item
            else:
                counts.refused += 1
                report(ImportNote(ascii(row.id), f"is not imported: {item}"))

    folders = NodeToolFolders()
    repeated = [folder for folder in read(table.folders()) if not folders.add(folder)]
    counts.known += len(repeated)
    files = table.files()
    if choice is not None:
        files = _unknown(files, counts, choice)
    for item in chain(folders.ordered(), read(files)):
        if not item.is_folder:
            folders.settle(item)
        yield item


def _unknown(
    rows: Iterator[NodeToolRow], counts: ImportCounts, choice: Choice
) -> Iterator[NodeToolRow]:
    for row in rows:
        if choice.knows(row):
            counts.known += 1
        else:
            yield row


def _batches(items: Iterator[Item], files: Files) -> Iterator[list[ItemOnDisk]]:
    batch: list[ItemOnDisk] = []
    for item in items:
        found = _found(item, files)
        if batch and (
            len(batch) == MOST or sum(each.size for each in batch) + found.size > BATCH_BYTES
        ):
            yield batch
            batch = []
        batch.append(found)
    if batch:
        yield batch


def _found(item: Item, files: Files) -> ItemOnDisk:
    if item.is_folder:
        return ItemOnDisk(item, None, 0)
    path = files.find(item)
    if isinstance(path, str):
        return ItemOnDisk(item, None, 0, lacks=path)
    with reading(path, OSError):  # it may have gone since the folder was listed
        status = path.stat()
    return ItemOnDisk(item, path, status.st_size, status.st_mtime)


def _adds(found: ItemOnDisk, present: Mapping[AssetId, Presence]) -> bool:
    """Return whether the ledger lacks this asset, or its content."""
    known = present.get(found.item.asset_id)
    return known is None or (known == "empty" and found.path is not None)


def _sent(found: ItemOnDisk) -> Sent:
    item = found.item
    fields = {"id": item.asset_id, "user_id": item.user_id, **item.fields}
    return Sent(item.asset_id, fields, found.path)


def _report(
    batch: Sequence[ItemOnDisk],
    added: Sequence[Imported],
    present: Mapping[AssetId, Presence],
    counts: ImportCounts,
    report: Report,
) -> None:
    """Count the outcomes of a batch and report its notes, but no notes of known assets."""
    outcomes = {imported.asset_id: imported for imported in added}
    for imported in added:
        setattr(counts, imported.outcome, getattr(counts, imported.outcome) + 1)
    for item, _, _, _, lacks in batch:
        outcome = outcomes.get(item.asset_id)
        notes = list(item.notes) if outcome is not None else []
        if outcome is not None and outcome.outcome == "refused":
            notes.append(f"is not imported: {outcome.reason}")
        elif lacks and present.get(item.asset_id) != "known":
            counts.without_bytes += 1
            notes.append(f"has no content: {lacks}")
        for note in notes:
            report(ImportNote(item.asset_id, note))
