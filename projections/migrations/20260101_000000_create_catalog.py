"""Create the table `catalog`, which orders assets by name and size and finds them by digest."""

from asset_ledger.ledger.storage.database import SqlConnection

needs_events = True

STATEMENTS = (
    """
    CREATE TABLE catalog (
        seq INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        user_id TEXT NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        digest INTEGER,  -- its first 8 bytes: enough to find by, a quarter to keep in order
        live BOOLEAN NOT NULL DEFAULT true
    )
    """,
    # On `assets`, which every upload writes, this index made recording 20 to 50 % slower.
    "CREATE INDEX catalog_by_name ON catalog (user_id, name) WHERE live",
    "CREATE INDEX catalog_by_size ON catalog (user_id, size) WHERE live",
    "CREATE INDEX catalog_by_digest ON catalog (user_id, digest) WHERE live AND digest IS NOT NULL",
)


def upgrade(db: SqlConnection) -> None:
    """Create the table and its indexes over live assets."""
    for statement in STATEMENTS:
        db.execute(statement)
