"""Create the table `edges`: a row for each source of a derived asset."""

from asset_ledger.ledger.storage.database import SqlConnection

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


def upgrade(db: SqlConnection) -> None:
    """Create the table. Walking up needs no index: the row of an asset names its sources."""
    for statement in STATEMENTS:
        db.execute(statement)
