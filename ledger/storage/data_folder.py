"""The names of all files in a data folder, and the check that its log is there.

Promise: no empty log is begun beside contents that another log names.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.sqlite import open_reader

UNFINISHED: Final = "ledger.db.importing"
"""The name of a log that is still being copied."""


class ContentFolder:
    """The files of contents below a folder: that of a ledger, or an export of one."""

    def __init__(self, root: Path) -> None:
        self.root: Final = root
        self.packed: Final = root / "packed.db"  # the small contents
        self.objects: Final = root / "objects"  # the large ones, a file each
        self.arriving: Final = root / "tmp"  # uploads that have not ended

    def object(self, digest: Digest) -> Path:
        """The file of a large content: objects/ab/cd/<SHA-256>."""
        name = digest.removeprefix("sha256:")
        return self.objects / name[:2] / name[2:4] / name


class DataFolder:
    """The files of one ledger. Those of its tables are named by `projections`."""

    def __init__(self, root: Path) -> None:
        self.root: Final = root
        self.log: Final = root / "ledger.db"
        self.unfinished_log: Final = root / UNFINISHED
        self.content: Final = ContentFolder(root / "content")
        self.key: Final = root / "checkpoint.key"  # the private key that signs checkpoints
        self.access: Final = root / "access.db"  # hashed tokens
        self.derived: Final = root / "derived"  # thumbnails: may be deleted at any time
        self.lock: Final = root / "lock"  # of the one server, with its address and its secret
        self.committer_lock: Final = root / "committer.lock"  # of the process that commits
        self.build_lock: Final = root / "projections.lock"  # of the process that builds tables


def check_log(folder: Path) -> None:
    """Raises DataFolderError for a folder that an import was killed in, or that lost its log."""
    files = DataFolder(folder)
    if files.unfinished_log.exists():
        raise DataFolderError(
            f"an import into {folder} was interrupted: run it again, or empty the folder"
        )
    # A start that was killed leaves no content: the first event is durable before the first one.
    if not _has_rows(files.log, "stored_events") and _holds_contents(files.content):
        raise DataFolderError(
            f"{files.log} is missing or empty, but contents are there: restore it from the backup,"
            f" or move {files.content.root} away to begin anew"
        )


def _holds_contents(content: ContentFolder) -> bool:
    objects = content.objects.glob("??/??/*")
    return _has_rows(content.packed, "contents") or next(objects, None) is not None


def _has_rows(file: Path, table: str) -> bool:
    """Is there a row? A file that cannot be read counts as well: whoever opens it says why."""
    if not file.is_file() or not file.stat().st_size:
        return False
    try:
        with closing(open_reader(file)) as db:
            made = db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            return bool(made and db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone())
    except sqlite3.Error:
        return True
