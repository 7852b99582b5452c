"""Create the table `assets`, without the columns of node and job that a later migration adds."""

from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.migrations.in_json import CREATED_AT, DIGEST, ID, METADATA, UPDATED_AT

needs_events = True

# Columns without an index of their own are read out of the JSON, so that nothing is stored twice.
STATEMENTS = (
    f"""
    CREATE TABLE assets (
        seq INTEGER PRIMARY KEY,  -- position of the first event: every index ends with it for free
        json TEXT NOT NULL,       -- the asset as the API answers it
        id TEXT NOT NULL UNIQUE GENERATED ALWAYS AS ({ID}) VIRTUAL,
        user_id TEXT NOT NULL,
        workflow_id TEXT,
        parent_id TEXT,           -- NULL at home
        name TEXT NOT NULL,
        content_type TEXT NOT NULL,
        size INTEGER NOT NULL,
        digest TEXT GENERATED ALWAYS AS ({DIGEST}) VIRTUAL,
        metadata TEXT GENERATED ALWAYS AS ({METADATA}) VIRTUAL,
        tags TEXT NOT NULL,
        derived_from TEXT NOT NULL,
        duration REAL,
        version INTEGER NOT NULL,
        position INTEGER NOT NULL,
        created_at TEXT NOT NULL GENERATED ALWAYS AS ({CREATED_AT}) VIRTUAL,
        updated_at TEXT NOT NULL GENERATED ALWAYS AS ({UPDATED_AT}) VIRTUAL,
        deleted_at TEXT,
        deleted_by TEXT
    )
    """,
    "CREATE INDEX assets_by_user ON assets (user_id) WHERE deleted_at IS NULL",
    "CREATE INDEX assets_by_workflow ON assets (user_id, workflow_id) WHERE deleted_at IS NULL",
    "CREATE INDEX assets_by_parent ON assets (user_id, parent_id) WHERE deleted_at IS NULL",
    "CREATE INDEX assets_by_media ON assets (user_id, content_type) WHERE deleted_at IS NULL",
    """
    CREATE INDEX assets_deleted_folders ON assets (user_id, id)
        WHERE deleted_at IS NOT NULL AND content_type = 'folder'
    """,
    """
    CREATE VIEW nodetool_assets AS
        SELECT id, user_id, workflow_id, coalesce(parent_id, user_id) AS parent_id, name,
            content_type, metadata, created_at, updated_at, duration, size
        FROM assets WHERE deleted_at IS NULL
    """,
)


def upgrade(db: SqlConnection) -> None:
    """Create the table, its indexes over live assets, and NodeTool's SQL view of them."""
    for statement in STATEMENTS:
        db.execute(statement)
