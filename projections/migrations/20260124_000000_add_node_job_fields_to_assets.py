"""Add node, job and attempt of an asset to `assets`, which events have always carried, and an
index by path.

Older rows stay in use without these columns until a rebuild fills them: see `backfills`.
"""

from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.migrations.segments import INDEXED, SEGMENT

needs_events = True
backfills = ("assets.node_id", "assets.job_id", "assets.attempt")

STATEMENTS = (
    "ALTER TABLE assets ADD COLUMN node_id TEXT",
    "ALTER TABLE assets ADD COLUMN job_id TEXT",
    "ALTER TABLE assets ADD COLUMN attempt INTEGER",
    "CREATE INDEX assets_by_node ON assets (user_id, node_id) WHERE deleted_at IS NULL",
    "CREATE INDEX assets_by_job ON assets (user_id, job_id) WHERE deleted_at IS NULL",
    "CREATE INDEX assets_by_job_node ON assets (user_id, job_id, node_id) WHERE deleted_at IS NULL",
    """
    CREATE INDEX assets_by_workflow_node ON assets (user_id, workflow_id, node_id)
        WHERE deleted_at IS NULL
    """,
    "CREATE INDEX assets_deleted ON assets (user_id) WHERE deleted_at IS NOT NULL",
    """
    CREATE INDEX assets_deleted_by_parent ON assets (user_id, parent_id)
        WHERE deleted_at IS NOT NULL
    """,
    f"CREATE INDEX assets_by_segment ON assets (user_id, parent_id, ({SEGMENT})) WHERE {INDEXED}",
    "DROP VIEW nodetool_assets",
    """
    CREATE VIEW nodetool_assets AS
        SELECT id, user_id, workflow_id, node_id, job_id,
            coalesce(parent_id, user_id) AS parent_id, name, content_type, metadata, created_at,
            updated_at, duration, size
        FROM assets WHERE deleted_at IS NULL
    """,
)


def upgrade(db: SqlConnection) -> None:
    """Add the columns to table and SQL view, with indexes over them and over tombstones."""
    for statement in STATEMENTS:
        db.execute(statement)
