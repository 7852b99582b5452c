"""The proof of a job from a data folder, whether or not its server runs."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from eventsourcing.persistence import Notification

from asset_ledger.ledger.errors import FolderLockedError, UnknownJobError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import LogReader, Tag
from asset_ledger.ledger.log.job_events import read_job
from asset_ledger.ledger.log.key_rotation import keys_in_force, rotations, signer_in_force
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.reader import PAGE
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.merkle.checkpoint import Checkpoint, sign_checkpoint
from asset_ledger.ledger.merkle.proof import ProvenEvent, TreeHead
from asset_ledger.ledger.merkle.tiles import Tiles
from asset_ledger.ledger.merkle.tree import leaf_of
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.folder_lock import hold_folder

RequestCheckpoint = Callable[[FolderLockedError], object]
"""Let the server that holds the folder sign a checkpoint. Raises the given error if it cannot."""


def prove_job(
    files: DataFolder,
    user_id: str,
    job_id: str,
    request: RequestCheckpoint,
    attempt: int | None = None,
) -> tuple[TreeHead, list[ProvenEvent]]:
    """Prove every event of a job, or of one attempt, by the first checkpoint that covers them.

    If no stored checkpoint does, sign one here, or `request` one from the server that holds the
    folder. Raises UnknownJobError, FolderLockedError and SigningKeyError.
    """
    with closing(SqliteLogReader(files.log)) as log:
        events = _events(log, Tag(user_id, "job", job_id), attempt)
        if not events:
            raise UnknownJobError(job_id, attempt)
        last, _ = events[-1]
        signed = _stored(log, last) or _sign(log, files, last, request)
        log_id = read_identity(log, Codec()).log_id
        rotated = _leaves(rotations(log, log_id, upto=signed.size))
        signed = signed._replace(rotations=_proven(log, signed.size, rotated))
        return signed, _proven(log, signed.size, events)


def _proven(log: LogReader, size: int, events: Sequence[tuple[int, bytes]]) -> list[ProvenEvent]:
    tiles = Tiles(log)
    return [
        ProvenEvent(position, leaf, tiles.inclusion_path(position - 1, size))
        for position, leaf in events
    ]


def _events(log: LogReader, job: Tag, attempt: int | None) -> list[tuple[int, bytes]]:
    """Return position and leaf of every event of a job, or of one attempt."""
    events: list[tuple[int, bytes]] = []
    while page := read_job(log, job, events[-1][0] if events else 0, PAGE, attempt=attempt):
        events += _leaves(page)
    return events


def _leaves(page: Iterable[Notification]) -> list[tuple[int, bytes]]:
    return [
        (e.id, leaf_of(str(e.originator_id), e.originator_version, e.topic, e.state)) for e in page
    ]


def _stored(log: LogReader, covering: int) -> TreeHead | None:
    for size, note in log.checkpoints(covering - 1, 1):
        return TreeHead(size, note, _key(log, size))
    return None


def _key(log: LogReader, size: int) -> str:
    """Return the key that signs a tree of this size."""
    return [each.key for each in keys_in_force(log, Codec()) if each.since <= size][-1]


def _sign(log: LogReader, files: DataFolder, covering: int, request: RequestCheckpoint) -> TreeHead:
    """Sign and store a checkpoint of the log as it is now."""
    try:
        with hold_folder(files.root):
            return _sign_here(files)
    except FolderLockedError as locked:
        request(locked)
        stored = _stored(log, covering)
        if stored is None:
            raise
        return stored


def _sign_here(files: DataFolder) -> TreeHead:
    with closing(SqliteLog(files.log, Codec())) as log:
        size = log.head().position
        signer = signer_in_force(log, Codec(), files.key)
        origin = read_identity(log, Codec()).origin
        note = sign_checkpoint(Checkpoint(origin, size, Tiles(log).root(size)), signer)
        return TreeHead(size, log.keep_checkpoint(size, note), signer.key)
