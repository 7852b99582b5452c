"""An event of a later release in a log."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.journeys.audit import StoredEvent, events_in, leaf_hash

_LAST: Final = "SELECT notification_id, state FROM stored_events ORDER BY 1 DESC LIMIT 1"
_INSERT: Final = """INSERT INTO stored_events
    (notification_id, originator_id, originator_version, topic, state)
    VALUES (%s, %s, %s, %s, %s)"""


def append_unreadable_event(data_dir: Path) -> int:
    """Append a well-formed event with an unknown topic, and return its position."""
    last = events_in(data_dir)[-1]
    event = _event_after(last.position, last.fields["recorded_at"])
    with closing(sqlite3.connect(data_dir / "ledger.db")) as db, db:
        db.execute("INSERT INTO stored_events VALUES (?, ?, ?, ?)", event[1:])
        db.execute("INSERT INTO event_leaves VALUES (?, ?)", (event.position, leaf_hash(event)))
    return event.position


def append_to_database(url: str) -> int:
    """Append such an event to a log in a database, and return its position."""
    import psycopg  # noqa: PLC0415 - an optional extra

    with psycopg.connect(url) as db:
        db.execute("SET search_path = ledger")
        ((position, state),) = db.execute(_LAST).fetchall()
        event = _event_after(position, json.loads(state)["recorded_at"])
        db.execute(_INSERT, event)
        db.execute("INSERT INTO event_leaves VALUES (%s, %s)", (event.position, leaf_hash(event)))
    return event.position


def _event_after(position: int, recorded_at: str) -> StoredEvent:
    state = b'{"by":"1","recorded_at":"%b"}' % recorded_at.encode()
    return StoredEvent(position + 1, "f" * 32, 1, "asset.reimagined", state)
