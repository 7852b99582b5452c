"""The proof of a job out of a data folder whose server may or may not run."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from eventsourcing.persistence import Notification

from asset_ledger.ledger.errors import FolderLockedError, UnknownJobError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import LogReader, Tag
from asset_ledger.ledger.log.key_rotation import keys_in_force, rotations, signer_in_force
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.log.sqlite_reader import PAGE, SqliteLogReader
from asset_ledger.ledger.merkle.checkpoint import Checkpoint, sign_checkpoint
from asset_ledger.ledger.merkle.proof import ProvenEvent, TreeHead
from asset_ledger.ledger.merkle.tiles import Tiles
from asset_ledger.ledger.merkle.tree import leaf_of
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.folder_lock import hold_folder

Ask = Callable[[FolderLockedError], object]
"""Has whoever holds a folder sign a checkpoint of its log. Raises the error where nobody can."""


def prove_job(
    files: DataFolder, user_id: str, job_id: str, ask: Ask
) -> tuple[TreeHead, list[ProvenEvent]]:
    """Every event of a job, proven by the first checkpoint that covers them.

    Where none is kept, one is signed here, or by the server that has the folder. Raises
    UnknownJobError, FolderLockedError and SigningKeyError.
    """
    with closing(SqliteLogReader(files.log)) as log:
        events = _events(log, Tag(user_id, "job", job_id))
        if not events:
            raise UnknownJobError(job_id)
        signed = _kept(log, events[-1][0]) or _sign(log, files, events[-1][0], ask)
        log_id = read_identity(log, Codec()).log_id
        changes = _leaves(rotations(log, log_id, upto=signed.size))
        signed = signed._replace(rotations=_proven(log, signed.size, changes))
        return signed, _proven(log, signed.size, events)


def _proven(log: LogReader, size: int, events: Sequence[tuple[int, bytes]]) -> list[ProvenEvent]:
    tiles = Tiles(log)
    return [
        ProvenEvent(position, leaf, tiles.inclusion_path(position - 1, size))
        for position, leaf in events
    ]


def _events(log: LogReader, tag: Tag) -> list[tuple[int, bytes]]:
    """Position and leaf of every event of a tag."""
    events: list[tuple[int, bytes]] = []
    while page := log.read(events[-1][0] if events else 0, PAGE, tag=tag):
        events += _leaves(page)
    return events


def _leaves(page: Iterable[Notification]) -> list[tuple[int, bytes]]:
    return [
        (f.id, leaf_of(str(f.originator_id), f.originator_version, f.topic, f.state)) for f in page
    ]


def _kept(log: LogReader, covering: int) -> TreeHead | None:
    for size, note in log.checkpoints(covering - 1, 1):
        return TreeHead(size, note, _key(log, size))
    return None


def _key(log: LogReader, size: int) -> str:
    """The key that signs a tree of this size."""
    return [known.key for known in keys_in_force(log, Codec()) if known.since <= size][-1]


def _sign(log: LogReader, files: DataFolder, covering: int, ask: Ask) -> TreeHead:
    """A checkpoint of the log as it is now, signed and kept."""
    try:
        with hold_folder(files.root):
            return _sign_here(files)
    except FolderLockedError as locked:
        ask(locked)
        kept = _kept(log, covering)
        if kept is None:
            raise
        return kept


def _sign_here(files: DataFolder) -> TreeHead:
    with closing(SqliteLog(files.log, Codec())) as log:
        size = log.head().position
        signer = signer_in_force(log, Codec(), files.key)
        origin = read_identity(log, Codec()).origin
        note = sign_checkpoint(Checkpoint(origin, size, Tiles(log).root(size)), signer)
        return TreeHead(size, log.keep_checkpoint(size, note), signer.key)
