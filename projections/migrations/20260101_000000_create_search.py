"""Create the full-text indexes: trigrams for substrings, tokens of our own for starts of words."""

from asset_ledger.ledger.storage.database import SqlConnection

needs_events = True

STATEMENTS = (
    """
    CREATE TABLE search_assets (
        seq INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        user_id TEXT NOT NULL,
        workflow_id TEXT,
        content_type TEXT NOT NULL,
        live BOOLEAN NOT NULL DEFAULT true,
        name TEXT NOT NULL,      -- folded, as tags and metadata are
        tags TEXT NOT NULL,
        metadata TEXT NOT NULL   -- its values, a line each
    )
    """,
    # Both store no text: deleting a row takes the same text that it was indexed with. Both hold a
    # token of the owner, so that a search passes over the assets of other users.
    """
    CREATE VIRTUAL TABLE search_text USING fts5(
        owner, name, tags, metadata, content='', tokenize='trigram case_sensitive 1', columnsize=0
    )
    """,
    """
    CREATE VIRTUAL TABLE search_heads USING fts5(
        heads, content='', tokenize='ascii', detail=none, columnsize=0
    )
    """,
)


def upgrade(db: SqlConnection) -> None:
    """Create the table of texts and the two indexes over live assets."""
    for statement in STATEMENTS:
        db.execute(statement)
