"""Back up a data folder beside its server: what the last backup does not have.

The key is read first, then the end of the log, then the contents. A content is durable before its
event, so every content of the backed up events is there. A killed backup is completed by the next
one: contents stay copied, and the events of an incomplete backup are written again.
"""

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from asset_ledger.api.backup.files import KEY, Backup, BackupFolder
from asset_ledger.api.export.files import (
    CHECKPOINTS,
    EVENTS,
    KEYS,
    LinesDigest,
    LinesFile,
    write_file,
)
from asset_ledger.api.export.ledger import checkpoint_lines, event_lines
from asset_ledger.ledger.clock import utc_now
from asset_ledger.ledger.content.copying import ContentCopier, Missing, PackWriter, PlacesFile
from asset_ledger.ledger.content.offline import OfflineContents
from asset_ledger.ledger.domain.asset import AssetContentReplaced, AssetCreated
from asset_ledger.ledger.domain.event import Recorded, iso
from asset_ledger.ledger.errors import DataFolderError, SigningKeyError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.copying import keys_upto
from asset_ledger.ledger.log.key_rotation import is_private_half, key_texts, keys_in_force
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.merkle.tiles import Tiles
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.files import storage_errors

_TRIES: Final = 20
_PAUSE: Final = 0.1
"""Seconds between two tries to read the key while it is rotated."""


def create_backup(
    data_dir: Path, folder: BackupFolder, progress: Progress, *, with_key: bool = False
) -> tuple[Backup, list[Missing]]:
    """Add a backup. Return it, and the contents that the data folder has lost.

    Raises DataFolderError for a target that cannot be used, CorruptLogError, PoisonEventError,
    SourceError for a damaged target, SigningKeyError if `with_key` and the key is missing.
    """
    files = DataFolder(data_dir)
    with (
        storage_errors(f"{folder.name} was not written"),
        folder.held(data_dir),
        closing(SqliteLogReader(files.log)) as log,
    ):
        return _Creation(files, folder, log).run(progress, with_key=with_key)


class _Creation:
    """One backup, up to the position at which the log stood when it began."""

    def __init__(self, files: DataFolder, folder: BackupFolder, log: SqliteLogReader) -> None:
        self._files, self._folder, self._log = files, folder, log
        self._codec = Codec()
        self._missing = dict[Digest, Missing]()

    def run(self, progress: Progress, *, with_key: bool) -> tuple[Backup, list[Missing]]:
        """Write all files, the manifest last."""
        identity, before = read_identity(self._log, self._codec), self._folder.list()
        last = before[-1] if before else None
        after = last.events if last else 0
        self._part = self._folder.part(len(before) + 1)
        self._folder.begin(len(before) + 1)
        key, upto = self._key_and_head() if with_key else (b"", self._log.head().position)
        self._check_history(identity.log_id, last, upto)
        if key:
            write_file(self._part / KEY, [key])
        with closing(PlacesFile(self._folder.places)) as places:
            copier = ContentCopier(
                OfflineContents(self._files.content),
                PackWriter(self._folder.content, places),
                self._folder.large,
                repairs=self._folder.repairs,
            )
            with closing(copier):
                self._copy_again(copier, last)
                self._places = places
                files = self._write_log(copier, after, upto, progress)
        backup = Backup(
            number=len(before) + 1,
            made_at=iso(utc_now()),
            log_id=identity.log_id,
            first=after + 1,
            events=upto,
            root=Tiles(self._log).root(upto),
            contents=copier.copied,
            size=copier.size,
            has_key=with_key,
            missing={digest: missing.size for digest, missing in self._missing.items()},
            files=files,
        )
        self._folder.add(backup)
        return backup, list(self._missing.values())

    def _check_history(self, log_id: str, last: Backup | None, upto: int) -> None:
        """Raise DataFolderError unless the log continues the one that was backed up before."""
        if last is None:
            return
        if last.log_id != log_id:
            raise DataFolderError(
                f"{self._folder.name} has backups of another ledger: name a folder for this one"
            )
        if last.events > upto or Tiles(self._log).root(last.events) != last.root:
            raise DataFolderError(
                f"{self._folder.name} has {last.events:,} events that this ledger does not"
                " continue: it was restored from an earlier backup, or changed. Name a new folder"
            )

    def _key_and_head(self) -> tuple[bytes, int]:
        """Return the signing key, and an end of the log at which it is in force."""
        for _ in range(_TRIES):
            candidates, upto = key_texts(self._files.key), self._log.head().position
            keys = keys_in_force(self._log, self._codec)
            in_force = [key for since, key in keys if since <= upto][-1]
            for text in candidates:
                if is_private_half(text, in_force):
                    return text, upto
            time.sleep(_PAUSE)  # the key is being rotated
        raise SigningKeyError(
            f"{self._files.key} is missing, or is not the key of this log: restore it, or make the"
            " backup without --with-key"
        )

    def _write_log(
        self, copier: ContentCopier, after: int, upto: int, progress: Progress
    ) -> Mapping[str, LinesDigest]:
        with LinesFile(self._part / EVENTS) as file:
            for page in event_lines(self._log, self._codec, after, upto):
                file.write_all(line for _, line in page)
                self._copy(copier, contents_of(event for event, _ in page))
                self._folder.flush(self._places)
                progress("backing up events", page[-1][0].position - after, upto - after)
        keys = (key._asdict() for key in keys_upto(self._log, upto, after))
        notes = checkpoint_lines(self._log, after, upto)
        files = {EVENTS: file.digest, KEYS: self._write(KEYS, keys)}
        files[CHECKPOINTS] = self._write(CHECKPOINTS, notes)
        return files

    def _write(self, name: str, documents: Iterable[Any]) -> LinesDigest:
        with LinesFile(self._part / name) as file:
            file.write_all(documents)
        return file.digest

    def _copy(self, copier: ContentCopier, sizes: Mapping[Digest, int]) -> None:
        for missing in copier.copy(sizes):
            if not self._log.collected(missing.digest):
                self._missing[missing.digest] = missing

    def _copy_again(self, copier: ContentCopier, last: Backup | None) -> None:
        """Copy what the earlier backups lack, if the data folder has it again."""
        if last is not None and last.missing:
            self._copy(copier, last.missing)


def contents_of(events: Iterable[Recorded]) -> dict[Digest, int]:
    """Return the contents that these events name, and their sizes in bytes."""
    created = [each.event for each in events]
    return {
        event.digest: event.size
        for event in created
        if isinstance(event, AssetCreated | AssetContentReplaced) and event.digest is not None
    }
