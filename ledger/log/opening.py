"""The first event of a log: its id, its format and its first verifier key."""

from pathlib import Path
from typing import Final

from asset_ledger.ledger.domain.ledger import FORMAT, SYSTEM, LedgerOpened, origin_line
from asset_ledger.ledger.errors import CorruptLogError, DataFolderError, VersionConflictError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, Command, EventLog, LogReader
from asset_ledger.ledger.merkle.key import load_or_make_key, verifier_key

_FIRST: Final = 1


def open_identity(log: EventLog, codec: Codec, key_file: Path, *, new_log_id: str) -> LedgerOpened:
    """Return event 1 of this log. Append it to an empty log, with a new key.

    If another process appends it first, that event is returned. Raises CorruptLogError if event 1
    is another event.
    """
    if not log.head().position:
        _open_new(log, key_file, new_log_id)
    return read_identity(log, codec)


def read_identity(log: LogReader, codec: Codec) -> LedgerOpened:
    """Return event 1. Raise CorruptLogError without one, DataFolderError for another format."""
    for stored in log.read(0, _FIRST):
        opened = codec.decode(stored).event
        if isinstance(opened, LedgerOpened):
            _check_format(opened)
            return opened
    raise CorruptLogError(
        "event 1 is not ledger.opened: this file is not an asset ledger, choose another data folder"
    )


def _check_format(opened: LedgerOpened) -> None:
    if opened.format != FORMAT:
        raise DataFolderError(
            f"this ledger has format {opened.format}, and this release reads format {FORMAT} only:"
            " use the release that made it, or begin a new data folder"
        )


def _open_new(log: EventLog, key_file: Path, log_id: str) -> None:
    origin = origin_line(log_id)
    opened = LedgerOpened(
        originator_id=log_id,
        originator_version=_FIRST,
        by=SYSTEM,
        log_id=log_id,
        origin=origin,
        public_key=verifier_key(origin, load_or_make_key(key_file)),
        format=FORMAT,
        erasable=False,
    )
    (outcome,) = log.append([Command([opened])], lambda _: None)
    if not isinstance(outcome, Appended | VersionConflictError):
        raise outcome
