"""A data folder that was restored to an earlier position: read-only, until the fork is accepted.

Its history ends before that of the original ledger. A new event would make a second history, which
the witnesses of the first one report as a fork; so the log records that it was made on purpose.
"""

from pathlib import Path
from typing import Final

import orjson

from asset_ledger.ledger.domain.ledger import SYSTEM, LedgerForked
from asset_ledger.ledger.errors import DataFolderError, InspectionError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, Command
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.files import sync_folder, write_durably

_ACCEPT: Final = "restore it with --accept-fork to write to it"


def mark_for_inspection(files: DataFolder, events: int, original: int) -> None:
    """Make a folder read-only that has the first `events` of `original` events."""
    text = orjson.dumps({"events": events, "original": original}) + b"\n"
    write_durably(files.inspection, text)


def refusal_of_writes(files: DataFolder) -> InspectionError | None:
    """Return why nothing may be recorded in this folder; None if writes are allowed."""
    if not files.inspection.exists():
        return None
    events, original = _read(files.inspection)
    return InspectionError(
        f"this folder was restored for inspection, with {events:,} of {original:,} events, and is"
        f" read-only: {_ACCEPT}"
    )


def accept_fork(folder: Path) -> int:
    """Record that this folder's history left the original one. Return the event's position.

    The caller holds the lock of the folder, which is writable from then on. Raises DataFolderError
    unless it was restored for inspection.
    """
    files, codec = DataFolder(folder), Codec()
    if not files.inspection.exists():
        raise DataFolderError(f"{folder} was not restored for inspection: it is writable already")
    events, original = _read(files.inspection)
    log = SqliteLog(files.log, codec)
    try:
        log_id = read_identity(log, codec).log_id
        forks = log.stream(log_id, topics=[LedgerForked.TOPIC])
        if not forks or forks[-1].id <= events:  # else it was recorded, and killed before `unlink`
            _record(log, log_id, original)
        position = log.stream(log_id, topics=[LedgerForked.TOPIC])[-1].id
    finally:
        log.close()
    files.inspection.unlink()
    sync_folder(folder)
    return position


def _record(log: SqliteLog, log_id: str, original: int) -> None:
    forked = LedgerForked(
        originator_id=log_id,
        originator_version=log.version_at(log_id) + 1,
        by=SYSTEM,
        original_events=original,
    )
    (outcome,) = log.append([Command([forked])], lambda _: None)
    if not isinstance(outcome, Appended):
        raise outcome


def _read(mark: Path) -> tuple[int, int]:
    try:
        found = orjson.loads(mark.read_bytes())
        return int(found["events"]), int(found["original"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataFolderError(f"{mark} is damaged: restore the backup again") from error
