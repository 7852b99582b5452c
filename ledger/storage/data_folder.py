"""A data folder whose log is not there: a restore left it out, or an import has not finished it.

Promise: no empty log is begun beside contents that another one names.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.storage.sqlite import open_reader

UNFINISHED: Final = "ledger.db.importing"
"""The name of a log that is still being copied."""


def check_log(folder: Path) -> None:
    """Raises DataFolderError for a folder that an import was killed in, or that lost its log."""
    if (folder / UNFINISHED).exists():
        raise DataFolderError(
            f"an import into {folder} was interrupted: run it again, or empty the folder"
        )
    # A start that was killed leaves no content: the first fact is durable before the first one.
    log, content = folder / "ledger.db", folder / "content"
    if not _has_rows(log, "stored_events") and _holds_contents(content):
        raise DataFolderError(
            f"{log} is missing or empty, but contents are there: restore it from the backup,"
            f" or move {content} away to begin anew"
        )


def _holds_contents(content: Path) -> bool:
    objects = (content / "objects").glob("??/??/*")
    return _has_rows(content / "packed.db", "contents") or next(objects, None) is not None


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
