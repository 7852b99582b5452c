"""The files of a folder of backups, and the manifest of each backup.

backups/00000001/    what the first backup added to the log: `*.ndjson`, as in an export
    ledger.json      its manifest; written last: without it, the backup is incomplete
    checkpoint.key   the key that signs checkpoints, with `--with-key`
content/             the contents of all backups; see `content.packs`
contents.db          the places of the small ones

A backup holds the log up to its position together with those before it. A folder is for one ledger.
"""

import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.api.export.files import MANIFEST, LinesDigest, write_file
from asset_ledger.api.imports.errors import SourceError, reading
from asset_ledger.ledger.content.copying import LargeContents, LargeFiles, PlacesFile
from asset_ledger.ledger.content.sparse import pack_sizes
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.data_folder import ContentFolder, DataFolder
from asset_ledger.ledger.storage.files import make_folder, sync_folder
from asset_ledger.ledger.storage.folder_lock import hold_folder

FORMAT: Final = "asset-ledger-backup/1"
KEY: Final = "checkpoint.key"


class Backup(NamedTuple):
    """A complete backup: events `first` to `events`, `contents` of `size` bytes that it added.

    `missing`: contents that no backup has, as the data folder had lost them, and their sizes.
    """

    number: int
    made_at: str
    log_id: str
    first: int
    events: int
    root: bytes
    contents: int
    size: int
    has_key: bool
    missing: Mapping[Digest, int]
    files: Mapping[str, LinesDigest]

    def document(self) -> dict[str, Any]:
        """Return the manifest."""
        files = {name: digest._asdict() for name, digest in self.files.items()}
        root = b64encode(self.root).decode()
        return {"format": FORMAT, **self._asdict(), "root": root, "files": files}


class BackupFolder:
    """The files in a folder of backups. `name`: what messages call it.

    `repairs`: a backup copies small contents again that the folder has lost.
    """

    repairs = True

    def __init__(self, root: Path, name: str = "") -> None:
        self.root: Final = root
        self.name: Final = name or str(root)
        self.places: Final = root / "contents.db"
        self.content = ContentFolder(root / "content", self.places)
        self.large: LargeContents = LargeFiles(self.content)
        self.backups: Final = root / "backups"

    def part(self, number: int) -> Path:
        """Return the folder of what a backup added to the log."""
        return self.backups / f"{number:08d}"

    @contextmanager
    def held(self, data_dir: Path | None = None) -> Iterator[None]:
        """Lock out other backups, of this data folder to this folder. Raises DataFolderError."""
        if data_dir is not None:
            check_target(data_dir, self.root)
        with hold_folder(self.root):
            yield

    def begin(self, number: int) -> None:
        """Make the folder of a new backup; remove what a killed one left in it."""
        make_folder(self.backups)
        shutil.rmtree(self.part(number), ignore_errors=True)
        make_folder(self.part(number))

    def open_contents(self, *, last_pack: bool = False) -> None:
        """Do nothing: the places and the last pack are there."""

    def pack_sizes(self) -> dict[int, int]:
        """Return the bytes of each pack."""
        return pack_sizes(self.content)

    def store(self, places: PlacesFile) -> None:
        """Do nothing: packs and places are durable."""

    def delete_packs(self, numbers: Iterable[int]) -> None:
        """Delete packs that no place names."""
        for number in numbers:
            self.content.pack(number).unlink(missing_ok=True)

    def get(self, number: int, name: str) -> Path:
        """Return a file of a backup."""
        return self.part(number) / name

    def release(self, number: int, name: str) -> None:
        """Do nothing: the file stays."""

    def flush(self, places: PlacesFile) -> None:
        """Do nothing: what was copied is durable."""

    def list(self) -> list[Backup]:
        """Return the complete backups, the oldest first. Raises SourceError."""
        found = list[Backup]()
        while (self.part(len(found) + 1) / MANIFEST).exists():
            found.append(_read(self.part(len(found) + 1)))
            if found[-1].number != len(found) or found[-1].first != _next(found[:-1]):
                raise SourceError(f"{self.part(len(found))} does not follow the backup before it")
        return found

    def add(self, backup: Backup) -> None:
        """Write the manifest, which completes a backup."""
        part = self.part(backup.number)
        sync_folder(part)
        draft = part / f"{MANIFEST}.draft"
        write_file(draft, [orjson.dumps(backup.document(), option=orjson.OPT_INDENT_2), b"\n"])
        draft.rename(part / MANIFEST)
        sync_folder(part)


def check_target(data_dir: Path, target: Path) -> None:
    """Raise DataFolderError for a folder that is not for backups alone."""
    if target.resolve().is_relative_to(data_dir.resolve()):
        raise DataFolderError(f"{target} is in the data folder: name a folder on another disk")
    if not target.is_dir():
        return
    known = {"backups", DataFolder(target).lock.name}
    names = {path.name for path in target.iterdir()}
    if (names and not names & known) or DataFolder(target).log.exists():
        raise DataFolderError(f"{target} is not empty: name a folder for backups alone")


def _next(before: Sequence[Backup]) -> int:
    return before[-1].events + 1 if before else 1


def _read(part: Path) -> Backup:
    path = part / MANIFEST
    try:
        with reading(path, OSError):
            document = orjson.loads(path.read_bytes())
        if (form := document.pop("format")) != FORMAT:
            raise SourceError(f"{path} is of the format {form}, not of {FORMAT}")
        files = {name: LinesDigest(**digest) for name, digest in document.pop("files").items()}
        root = b64decode(document.pop("root"), validate=True)
        return Backup(**document, files=files, root=root)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path} is damaged: {error!r}") from error
