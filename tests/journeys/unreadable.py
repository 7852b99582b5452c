"""An event of a later release in a log on disk."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.journeys.audit import StoredEvent, events_in, leaf_hash


def append_unreadable_event(data_dir: Path) -> int:
    """Append a well-formed event with an unknown topic, and return its position."""
    last = events_in(data_dir)[-1]
    state = b'{"by":"1","recorded_at":"%b"}' % last.fields["recorded_at"].encode()
    event = StoredEvent(last.position + 1, "f" * 32, 1, "asset.reimagined", state)
    with closing(sqlite3.connect(data_dir / "ledger.db")) as db, db:
        db.execute("INSERT INTO stored_events VALUES (?, ?, ?, ?)", event[1:])
        db.execute("INSERT INTO event_leaves VALUES (?, ?)", (event.position, leaf_hash(event)))
    return event.position
