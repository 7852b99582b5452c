"""Remove from backups what only the older ones need: contents that were collected since.

The events of all backups stay, as each continues the one before it. Promise: a content goes only
after the places that name no such content are durable, so a killed prune damages no backup.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from asset_ledger.api.backup.create import contents_of
from asset_ledger.api.backup.files import Backup, BackupFolder
from asset_ledger.api.backup.restore import read_events
from asset_ledger.api.export.files import EVENTS
from asset_ledger.ledger.content.copying import PlacesFile
from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.content.sparse import sparse_packs
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.domain.ledger import ContentCollected
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.files import storage_errors


class Pruned(NamedTuple):
    """What was removed. Restores of fewer than `events` events lack these contents."""

    events: int
    contents: int
    size: int


def prune_backups(folder: BackupFolder, keep: int, progress: Progress) -> Pruned:
    """Remove the contents that none of the newest `keep` backups needs. Raises SourceError."""
    if len(folder.list()) <= keep:
        return Pruned(0, 0, 0)
    with storage_errors(f"{folder.name} was not pruned"), folder.held():
        backups = folder.list()  # one that was made meanwhile may need a content again
        events = backups[-keep].events
        gone = _collected(folder, backups, events, progress)
        contents, size = _remove(folder, sorted(gone))
    return Pruned(events, contents, size)


def _collected(
    folder: BackupFolder, backups: Sequence[Backup], upto: int, progress: Progress
) -> set[Digest]:
    """Return the contents that were collected up to a position, and not stored again since."""
    gone, codec = set[Digest](), Codec()
    for backup in backups:
        for position, copied in enumerate(read_events(folder, backup, codec), backup.first):
            if isinstance(copied.event, ContentCollected):
                gone.update(copied.event.digests if position <= upto else ())
            gone -= contents_of([Recorded(position, copied.event)]).keys()
            if position % 1_000 == 0:
                progress("reading events", position, backups[-1].events)
        folder.release(backup.number, EVENTS)
    return gone


def _remove(folder: BackupFolder, gone: Sequence[Digest]) -> tuple[int, int]:
    """Remove contents. Return their number, and their bytes."""
    folder.open_contents(last_pack=True)
    with closing(PlacesFile(folder.places)) as places:
        small = places.places(gone)
        places.forget(small.values())
        sparse = sparse_packs(folder.content, folder.pack_sizes())
        with closing(Packs(folder.content)) as packs:
            for number in sparse:
                places.keep_places(packs.move(number, places.places))
        folder.store(places)
    folder.delete_packs(sparse)
    sizes = [folder.large.delete(digest) for digest in gone if digest not in small]
    removed = [*(place.size for place in small.values()), *(size for size in sizes if size)]
    return len(removed), sum(removed)
