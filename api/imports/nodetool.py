"""A NodeTool database into a ledger: its assets with their ids, times, folders and bytes.

Promise: a row that can be an asset becomes one, however many others cannot; run again, after a kill
too, the import adds what is new and changes nothing else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from asset_ledger.api.imports.destinations import Destination, Sent
from asset_ledger.api.imports.nodetool_files import AssetFiles
from asset_ledger.api.imports.nodetool_folders import NodeToolFolders
from asset_ledger.api.imports.nodetool_rows import Item, item_of
from asset_ledger.api.imports.nodetool_table import NodeToolRow, Table
from asset_ledger.ledger.commands.imports import MOST, Imported, Presence
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.progress import Progress

BATCH_BYTES: Final = 64 << 20
"""How many bytes of contents go along at once: so much is read again after a kill, at most."""


class ImportNote(NamedTuple):
    """What did not fit in a row. `id` as the database has it."""

    id: str
    what: str


Say = Callable[[ImportNote], None]


@dataclass(slots=True)
class ImportCounts:
    """What became of the rows. `without_bytes`: in the ledger, but nothing of their contents."""

    rows: int = 0
    recorded: int = 0
    filled: int = 0
    known: int = 0
    refused: int = 0
    without_bytes: int = 0

    @property
    def complete(self) -> bool:
        """Every row is in the ledger, with its bytes."""
        return not self.refused and not self.without_bytes


class _ItemOnDisk(NamedTuple):
    item: Item
    path: Path | None
    size: int


async def import_nodetool(
    table: Table, files: AssetFiles, destination: Destination, say: Say, progress: Progress
) -> ImportCounts:
    """Bring all rows of a table into a ledger. Raises SourceError, and what the ledger raises."""
    tally = ImportCounts(rows=table.rows)
    if table.repeated:
        say(
            ImportNote("", f"rows with the id of another: {table.repeated:,}; the first one counts")
        )
    for batch in _batches(_items(table, tally, say), files):
        present = await destination.present([found.item.asset_id for found in batch])
        wanted = [found for found in batch if _adds(found, present)]
        added = await destination.add([_sent(found) for found in wanted]) if wanted else ()
        tally.known += len(batch) - len(wanted)
        _tell(batch, added, present, tally, say)
        done = tally.recorded + tally.filled + tally.known + tally.refused
        progress("importing rows", done, tally.rows)
    return tally


def _items(table: Table, tally: ImportCounts, say: Say) -> Iterator[Item]:
    """Every row that can be an asset: folders first, each after the one that it lies in."""

    def read(rows: Iterator[NodeToolRow]) -> Iterator[Item]:
        for row in rows:
            item = item_of(row)
            if isinstance(item, Item):
                yield item
            else:
                tally.refused += 1
                say(ImportNote(ascii(row.id), f"is not imported: {item}"))

    folders = NodeToolFolders()
    repeated = [folder for folder in read(table.folders()) if not folders.add(folder)]
    tally.known += len(repeated)
    for item in chain(folders.ordered(), read(table.files())):
        if not item.is_folder:
            folders.settle(item)
        yield item


def _batches(items: Iterator[Item], files: AssetFiles) -> Iterator[list[_ItemOnDisk]]:
    batch: list[_ItemOnDisk] = []
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


def _found(item: Item, files: AssetFiles) -> _ItemOnDisk:
    path = None
    if not item.is_folder:
        path = files.find(item.asset_id, item.fields.get("content_type"))
    return _ItemOnDisk(item, path, path.stat().st_size if path is not None else 0)


def _adds(found: _ItemOnDisk, present: Mapping[AssetId, Presence]) -> bool:
    """Whether the ledger lacks something that is here."""
    known = present.get(found.item.asset_id)
    return known is None or (known == "empty" and found.path is not None)


def _sent(found: _ItemOnDisk) -> Sent:
    item = found.item
    fields = {"id": item.asset_id, "user_id": item.user_id, **item.fields}
    return Sent(item.asset_id, fields, found.path)


def _tell(
    batch: Sequence[_ItemOnDisk],
    added: Sequence[Imported],
    present: Mapping[AssetId, Presence],
    tally: ImportCounts,
    say: Say,
) -> None:
    """Count a batch, and say what there is to say: nothing of what was there already."""
    outcomes = {one.asset_id: one for one in added}
    for one in added:
        setattr(tally, one.outcome, getattr(tally, one.outcome) + 1)
    for item, path, _ in batch:
        outcome = outcomes.get(item.asset_id)
        notes = list(item.notes) if outcome is not None else []
        if outcome is not None and outcome.outcome == "refused":
            notes.append(f"is not imported: {outcome.reason}")
        elif path is None and not item.is_folder and present.get(item.asset_id) != "known":
            tally.without_bytes += 1
            notes.append("has no bytes: there is no file of it")
        for note in notes:
            say(ImportNote(item.asset_id, note))
