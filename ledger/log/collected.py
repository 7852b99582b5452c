"""The contents that were collected and not stored again since: a row for each, with its event.

The rows are written in the transactions of the events. `Command.collects` is checked here.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from asset_ledger.ledger.content.places import DELETE_OBJECT, key_of
from asset_ledger.ledger.domain.ledger import ContentCollected
from asset_ledger.ledger.errors import VersionConflictError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.event_log import Command
from asset_ledger.ledger.storage.database import SqlConnection

_ANY: Final = "SELECT EXISTS (SELECT 1 FROM collected)"
_INSERT: Final = "INSERT OR REPLACE INTO collected VALUES (?, ?, ?)"
_DELETE: Final = "DELETE FROM collected WHERE digest = ?"
_DELETE_PLACES: Final = ("DELETE FROM contents WHERE digest = ?", DELETE_OBJECT)
NEEDED: Final = """SELECT DISTINCT n.state FROM stored_events e
    JOIN stored_events n ON n.originator_id = e.originator_id
        AND n.topic IN ('asset.created', 'asset.content_replaced')
    WHERE e.rowid > ? AND e.rowid <= ?
        AND e.topic IN ('asset.created', 'asset.content_replaced', 'asset.restored')"""

_NO_LIMIT: Final = 2**63 - 1


def has_collected(db: sqlite3.Connection) -> bool:
    """Return whether any content is collected."""
    return bool(db.execute(_ANY).fetchone()[0])


def keep_collected(db: sqlite3.Connection, changes: Mapping[bytes, tuple[int, str] | None]) -> None:
    """Insert or delete the rows that events change. The caller owns the transaction."""
    db.executemany(_DELETE, [(key,) for key, row in changes.items() if row is None])
    db.executemany(_INSERT, [(key, *row) for key, row in changes.items() if row is not None])


def drop_places(db: sqlite3.Connection, digests: Sequence[Digest]) -> None:
    """Delete the places of collected contents. The caller owns the transaction."""
    for sql in _DELETE_PLACES:
        db.executemany(sql, [(key_of(digest),) for digest in digests])


def check_unneeded(db: SqlConnection, command: Command) -> None:
    """Raise VersionConflictError if an event after `collects` needs a content that this command
    collects. Called with the lock of the log, so `collects` is close to the head."""
    needed = needed_by(db.execute(NEEDED, (command.collects, _NO_LIMIT)))
    if needed.intersection(collected_digests(command)):
        raise VersionConflictError("a content is needed again: plan the collection anew")


def needed_by(rows: Iterable[Any]) -> set[Digest]:
    """Return the contents in the rows of NEEDED: events name them, or restored an asset that does.

    With None for an asset without content.
    """
    return {orjson.loads(state).get("digest") for (state,) in rows}


def collected_digests(command: Command) -> list[Digest]:
    """Return the contents that a command collects."""
    events = [each for each in command.events if isinstance(each, ContentCollected)]
    return [digest for event in events for digest in event.digests]
