"""The names of all files in a data folder, and the check that its log exists.

Promise: no new log is started beside contents that a lost log names.
"""

import json
import sqlite3
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Final

from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.files import write_durably
from asset_ledger.ledger.storage.sqlite import open_reader
from asset_ledger.ledger.storage.wal import check_wal

LOG: Final = "ledger.db"
UNFINISHED: Final = "ledger.db.importing"
"""The name of a log while an import copies it."""


_PATTERNS: Final = (
    *(LOG, f"{LOG}-*", f"{UNFINISHED}*", "projections.g*.db*", "sessions.db*", "checkpoint.key*"),
    *("content", "derived", "inspection.json", "lock", "committer.lock", "projections.lock"),
    "database.json",
)
"""What a start may make in a data folder."""


class ContentFolder:
    """The files of contents in a folder, of a ledger or of its export.

    `log`: the file whose table `contents` has the places of small contents.
    """

    def __init__(self, root: Path, log: Path | None = None) -> None:
        self.root: Final = root
        self.log: Final = log or root.parent / LOG
        self.packs: Final = root / "packs"  # small contents, many in a file
        self.objects: Final = root / "objects"  # large contents, one file each
        self.arriving: Final = root / "tmp"  # uploads that have not ended
        self.unfinished: Final = root / "uploads"  # those that arrive in several requests

    def pack(self, number: int) -> Path:
        """Return the file of a pack: packs/00000001.pack."""
        return self.packs / f"{number:08d}.pack"

    def object(self, digest: Digest) -> Path:
        """Return the file of a large content: objects/ab/cd/<SHA-256>."""
        name = digest.removeprefix("sha256:")
        return self.objects / name[:2] / name[2:4] / name


class DataFolder:
    """The files of one ledger. `projections` has the names of the table files."""

    def __init__(self, root: Path, *, log: str = LOG) -> None:
        self.root: Final = root
        self.log: Final = root / log
        self.unfinished_log: Final = root / UNFINISHED
        self.content: Final = ContentFolder(root / "content", self.log)
        self.key: Final = root / "checkpoint.key"  # the private key that signs checkpoints
        self.sessions: Final = root / "sessions.db"  # of browsers; may be deleted
        self.s3_keys: Final = root / "s3-keys.json"  # the secrets of S3 clients
        self.s3_uploads: Final = root / "s3-uploads"  # their unfinished multipart uploads
        self.hooks: Final = root / "hooks.json"  # webhooks, with their secrets and positions
        self.database: Final = root / "database.json"  # which database has the log
        self.last_backup: Final = root / "backup.json"  # when the last one was made
        self.scrub: Final = root / "scrub.db"  # when each part was read; may be deleted
        self.derived: Final = root / "derived"  # thumbnails: may be deleted at any time
        self.inspection: Final = root / "inspection.json"  # restored for inspection: read-only
        self.lock: Final = root / "lock"  # the server's, with its address and secret
        self.committer_lock: Final = root / "committer.lock"  # the committer's
        self.backup_lock: Final = root / "backup.lock"  # that of a backup to an object store
        self.build_lock: Final = root / "projections.lock"  # the rebuild's

    def names(self) -> set[Path]:
        """Return the ledger's files and folders that exist, without those of other programs."""
        contents = (self.content.packs, self.content.objects, self.content.arriving)
        own = {path for pattern in _PATTERNS for path in self.root.glob(pattern)}
        return own | {path for path in contents if path.exists()}


def check_log(folder: Path) -> None:
    """Raise DataFolderError for an interrupted import, a missing or old log, an earlier layout, or
    a log that is in a database."""
    files = DataFolder(folder)
    check_wal(files.log)
    if not files.log.exists() and (claim := _claim_of(files)) is not None:
        raise DataFolderError(
            f"the ledger of {folder} is in the {claim['location']}: name it with --database-url, or"
            " name another folder with --data-dir"
        )
    if files.unfinished_log.exists():
        raise DataFolderError(
            f"an import into {folder} was interrupted: run it again, or empty the folder"
        )
    if _is_of_another_program(files.log):
        raise DataFolderError(
            f"{files.log} is a database of another program: choose another data folder"
        )
    if (old := files.content.root / "packed.db").exists():
        raise DataFolderError(
            f"an earlier version made {old}: export the ledger with that version, and import it"
        )
    # A killed first start leaves no content: the log's first event is durable before any content.
    if not _has_rows(files.log, "stored_events") and _has_contents(files.content):
        raise DataFolderError(
            f"{files.log} is missing or empty, but there are contents: restore it from the backup,"
            f" or move {files.content.root} away to start a new ledger"
        )


def claim_folder(files: DataFolder, log_id: str, location: str) -> None:
    """Note that the log of a folder is in a database. Raises DataFolderError if another log is."""
    claimed = {"log_id": log_id, "location": location}
    before = _claim_of(files)
    if before is not None and before["log_id"] != log_id:
        raise DataFolderError(
            f"{files.root} belongs to the ledger in the {before['location']}, and the {location}"
            " has another one: name another folder with --data-dir, or the right database"
        )
    if before != claimed:
        write_durably(files.database, json.dumps(claimed).encode())


def _claim_of(files: DataFolder) -> dict[str, str] | None:
    try:
        found: dict[str, str] = json.loads(files.database.read_bytes())
        return {"log_id": found["log_id"], "location": found["location"]}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise DataFolderError(
            f"{files.database} cannot be read: delete it, if the database is the right one"
        ) from error


def _is_of_another_program(file: Path) -> bool:
    if not _has_bytes(file) or not _finds(file, "SELECT 1 FROM sqlite_master"):
        return False
    return not _has_table(file, "stored_events")


def _has_contents(content: ContentFolder) -> bool:
    packs = (pack for pack in content.packs.glob("*.pack") if pack.stat().st_size)
    return next(chain(packs, content.objects.glob("??/??/*")), None) is not None


def _has_rows(file: Path, table: str) -> bool:
    return _has_table(file, table) and _finds(file, f"SELECT 1 FROM {table} LIMIT 1")


def _has_table(file: Path, table: str) -> bool:
    named = f"SELECT 1 FROM sqlite_master WHERE name = '{table}'"
    return _has_bytes(file) and _finds(file, named)


def _has_bytes(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _finds(file: Path, sql: str) -> bool:
    try:
        with closing(open_reader(file)) as db:
            return db.execute(sql).fetchone() is not None
    except sqlite3.Error:
        return True
