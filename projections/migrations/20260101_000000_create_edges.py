"""What was made from what. Assets that were derived from none cost nothing here."""

import sqlite3

needs_events = True

STATEMENTS = (
    """
    CREATE TABLE edges (
        source TEXT NOT NULL,
        derived TEXT NOT NULL,
        user_id TEXT NOT NULL,
        digest TEXT,              -- of the source's bytes as they were then
        PRIMARY KEY (source, derived)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX edges_by_digest ON edges (user_id, digest)",
)


def upgrade(db: sqlite3.Connection) -> None:
    """Make the table. The way up needs no index: an asset's row names what it was made from."""
    for statement in STATEMENTS:
        db.execute(statement)
