"""Restore a backup into an empty data folder: the same events, byte for byte, and their contents.

Promise: the folder becomes a ledger only when everything is there and durable. A killed restore
goes on when it is run again. A restore of an earlier position is for inspection: a mark makes the
folder read-only until `accept_fork` records that its history left the original one.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from asset_ledger.api.backup.create import contents_of
from asset_ledger.api.backup.files import KEY, Backup, BackupFolder
from asset_ledger.api.export.files import CHECKPOINTS, EVENTS, KEYS, write_file
from asset_ledger.api.imports.errors import SourceError
from asset_ledger.api.imports.ledger import check_empty, copy_keys
from asset_ledger.api.imports.ledger_lines import (
    Lines,
    Manifest,
    read_event,
    read_note,
)
from asset_ledger.ledger.content.copying import (
    ContentCopier,
    LargeFiles,
    Missing,
    PackWriter,
)
from asset_ledger.ledger.content.offline import OfflineContents
from asset_ledger.ledger.domain.event import Recorded, moment
from asset_ledger.ledger.domain.ledger import ContentCollected
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.copying import Copied, CopiedLog, NotNextError, finish
from asset_ledger.ledger.log.inspection import mark_for_inspection
from asset_ledger.ledger.log.key_rotation import is_private_half, keys_in_force
from asset_ledger.ledger.merkle.tree import leaf_hash
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.data_folder import UNFINISHED, DataFolder
from asset_ledger.ledger.storage.files import storage_errors
from asset_ledger.ledger.storage.folder_lock import hold_folder

PAGE: Final = 1_000


class Restored(NamedTuple):
    """Numbers of a restore. `of`: the events of all backups; `missing`: contents that none has."""

    events: int
    of: int
    root: bytes
    has_key: bool
    missing: Sequence[Missing]


def restore_backup(
    folder: BackupFolder, data_dir: Path, progress: Progress, upto: int | datetime | None = None
) -> Restored:
    """Restore the newest backup, or its events up to a position or a time, into an empty folder.

    Raises SourceError for a damaged backup or a position that it lacks, DataFolderError for a
    folder in use or not empty, StorageFailedError.
    """
    backups = folder.list()
    if not backups:
        raise SourceError(f"{folder.name} has no complete backup")
    files = DataFolder(data_dir)
    with hold_folder(data_dir):
        check_empty(data_dir, {files.inspection.name})
        with storage_errors("the backup was not restored"):
            files.inspection.unlink(missing_ok=True)  # of a killed restore
            with closing(CopiedLog(data_dir, Codec())) as log:
                restored = _Restore(folder, backups, files, log).run(progress, upto)
            if restored.events < restored.of:
                mark_for_inspection(files, restored.events, restored.of)
            finish(data_dir)
    return restored


def lines_of(folder: BackupFolder, backup: Backup, name: str) -> Lines:
    """Return the lines of a file of a backup."""
    manifest = Manifest(backup.log_id, backup.events, backup.root, backup.files)
    return Lines(folder.get(backup.number, name).parent, name, manifest)


def read_events(folder: BackupFolder, backup: Backup, codec: Codec) -> Iterator[Copied]:
    """Yield the events that a backup added to the log. Raises SourceError."""
    lines = lines_of(folder, backup, EVENTS)
    for position, line in enumerate(lines, backup.first):
        yield read_event(lines, line, position, codec)


class _Restore:
    """One restore, from its first event to its last."""

    def __init__(
        self, folder: BackupFolder, backups: Sequence[Backup], files: DataFolder, log: CopiedLog
    ) -> None:
        self._folder, self._backups, self._files, self._log = folder, backups, files, log
        self._content = DataFolder(files.root, log=UNFINISHED).content
        self._codec, self._missing = Codec(), list[Missing]()

    def run(self, progress: Progress, upto: int | datetime | None) -> Restored:
        """Copy everything up to a position or a time."""
        most = self._backups[-1].events
        last = most if upto is None else self._position(upto)
        if self._log.head().position > last:
            raise SourceError(
                f"a restore of more than {last:,} events was interrupted here: empty the folder"
            )
        shutil.rmtree(self._content.arriving, ignore_errors=True)
        self._folder.open_contents()
        copier = ContentCopier(
            OfflineContents(self._folder.content),
            PackWriter(self._content, self._log),
            LargeFiles(self._content),
            lender=self._folder.large,
        )
        with closing(copier):
            for backup in self._until(last):
                self._events(backup, last, copier, progress)
                self._check_root(backup)
                self._folder.release(backup.number, EVENTS)
        for backup in self._until(last):
            self._keys_and_checkpoints(backup, last)
        has_key = self._key()
        return Restored(last, most, self._log.root(last), has_key, self._missing)

    def _until(self, last: int) -> Iterator[Backup]:
        return (backup for backup in self._backups if backup.first <= last)

    def _position(self, upto: int | datetime) -> int:
        """Return the last position recorded by a time; or a position itself. Raises SourceError."""
        if isinstance(upto, datetime):
            return self._last_before(upto)
        if not 0 < upto <= self._backups[-1].events:
            raise SourceError(
                f"{self._folder.name} has the events 1 to {self._backups[-1].events:,}: there is"
                f" no position {upto:,}"
            )
        return upto

    def _last_before(self, time: datetime) -> int:
        last = 0
        for backup in self._backups:
            for copied in self._read(backup):
                if moment(copied.event) > time:
                    break
                last += 1
            if last < backup.events:
                break
        if not last:
            raise SourceError(f"{self._folder.name} has no event recorded by {time.isoformat()}")
        return last

    def _read(self, backup: Backup) -> Iterator[Copied]:
        return read_events(self._folder, backup, self._codec)

    def _events(self, backup: Backup, last: int, copier: ContentCopier, progress: Progress) -> None:
        """Copy the contents and the events of a backup, except what a killed restore copied."""
        position = backup.first
        events = self._read(backup)
        while page := list(islice(events, PAGE)):
            known = self._log.head().position
            self._check_known(position, page, known)
            new = page[max(0, known + 1 - position) : max(0, last + 1 - position)]
            for part in parts_of(new):
                self._append(copier, part)
                progress("restoring events", self._log.head().position, last)
            position += len(page)

    def _append(self, copier: ContentCopier, page: Sequence[Copied]) -> None:
        first = self._log.head().position + 1
        named = (Recorded(n, copied.event) for n, copied in enumerate(page, first))
        self._missing += copier.copy(contents_of(named))
        try:
            self._log.copy(page)
        except NotNextError as error:
            raise SourceError(f"event {error.position:,} of the backup {error}") from error
        if isinstance(collected := page[-1].event, ContentCollected):
            self._log.forget(collected.digests)
            for digest in collected.digests:
                self._content.object(digest).unlink(missing_ok=True)

    def _check_known(self, first: int, page: Sequence[Copied], known: int) -> None:
        """Raise SourceError unless a killed restore copied these same events."""
        for position, copied in enumerate(page[: max(0, known + 1 - first)], first):
            if self._log.leaf_hash(position) != leaf_hash(copied.leaf):
                raise SourceError(f"{self._folder.name} is not what was being restored here")

    def _check_root(self, backup: Backup) -> None:
        if self._log.head().position < backup.events:
            return
        if self._log.root(backup.events) != backup.root:
            raise SourceError(
                f"{self._folder.part(backup.number)} has not the root of its manifest"
            )

    def _keys_and_checkpoints(self, backup: Backup, last: int) -> None:
        copy_keys(lines_of(self._folder, backup, KEYS), self._log, last)
        notes = lines_of(self._folder, backup, CHECKPOINTS)
        for line in notes:
            size, note = read_note(notes, line, backup.events)
            if size <= last:
                self._log.keep_checkpoint(size, note)

    def _key(self) -> bool:
        """Restore the signing key in force, if a backup has it. Return whether there is a key."""
        in_force = keys_in_force(self._log, self._codec)[-1].key
        for backup in self._backups:
            text = self._folder.get(backup.number, KEY).read_bytes() if backup.has_key else b""
            if text and is_private_half(text, in_force):
                self._files.key.unlink(missing_ok=True)
                write_file(self._files.key, [text])
                return True
        return self._files.key.exists()


def parts_of(page: Sequence[Copied]) -> Iterator[Sequence[Copied]]:
    """Split a page after each event that collected contents: later events may store them again."""
    start = 0
    for end, copied in enumerate(page, 1):
        if isinstance(copied.event, ContentCollected) or end == len(page):
            yield page[start:end]
            start = end
