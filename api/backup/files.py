"""The files of a folder of backups, and the manifest of each backup.

backups/00000001/    what the first backup added to the log: `*.ndjson`, as in an export
    ledger.json      its manifest; written last: without it, the backup is incomplete
    checkpoint.key   the key that signs checkpoints, with `--with-key`
content/             the contents of all backups; see `content.packs`
contents.db          the places of the small ones

A backup holds the log up to its position together with those before it. A folder is for one ledger.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.api.export.files import MANIFEST, LinesDigest, write_file
from asset_ledger.api.imports.errors import SourceError, reading
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.files import sync_folder

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
    """The files in a folder of backups."""

    def __init__(self, root: Path) -> None:
        self.root: Final = root
        self.places: Final = root / "contents.db"
        self.content: Final = ContentFolder(root / "content", self.places)
        self.backups: Final = root / "backups"

    def part(self, number: int) -> Path:
        """Return the folder of what a backup added to the log."""
        return self.backups / f"{number:08d}"

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
        draft = part / f"{MANIFEST}.draft"
        write_file(draft, [orjson.dumps(backup.document(), option=orjson.OPT_INDENT_2), b"\n"])
        draft.rename(part / MANIFEST)
        sync_folder(part)


def now() -> str:
    """Return the time in UTC, as every answer writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
