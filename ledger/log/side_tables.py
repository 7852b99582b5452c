"""The tables beside `stored_events`, which the same transactions fill."""

from typing import Final

SIDE_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS event_tags (
        user_id TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (user_id, kind, value, position)) WITHOUT ROWID, STRICT""",
    """CREATE TABLE IF NOT EXISTS command_keys (
        user_id TEXT NOT NULL, key TEXT NOT NULL, operation TEXT NOT NULL,
        fingerprint TEXT NOT NULL, first_position INTEGER NOT NULL, last_position INTEGER NOT NULL,
        PRIMARY KEY (user_id, key)) WITHOUT ROWID, STRICT""",
    """CREATE TABLE IF NOT EXISTS job_heads (
        user_id TEXT NOT NULL, job_id TEXT NOT NULL, seq INTEGER NOT NULL,
        attempt INTEGER NOT NULL, ended INTEGER NOT NULL,
        PRIMARY KEY (user_id, job_id)) WITHOUT ROWID, STRICT""",
    """CREATE TABLE IF NOT EXISTS event_leaves (
        position INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT""",
)
