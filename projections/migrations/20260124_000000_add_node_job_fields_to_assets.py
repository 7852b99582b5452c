"""An asset knows the node and the job that made it. The log always did."""

import sqlite3

needs_facts = True

STATEMENTS = (
    "ALTER TABLE assets ADD COLUMN node_id TEXT",
    "ALTER TABLE assets ADD COLUMN job_id TEXT",
    "CREATE INDEX assets_by_node ON assets (user_id, node_id) WHERE deleted_at IS NULL",
    "CREATE INDEX assets_by_job ON assets (user_id, job_id) WHERE deleted_at IS NULL",
    "CREATE INDEX assets_by_job_node ON assets (user_id, job_id, node_id) WHERE deleted_at IS NULL",
    """
    CREATE INDEX assets_by_workflow_node ON assets (user_id, workflow_id, node_id)
        WHERE deleted_at IS NULL
    """,
    "DROP VIEW nodetool_assets",
    """
    CREATE VIEW nodetool_assets AS
        SELECT id, user_id, workflow_id, node_id, job_id,
            coalesce(parent_id, user_id) AS parent_id, name, content_type, metadata, created_at,
            updated_at, duration, size
        FROM assets WHERE deleted_at IS NULL
    """,
)


def upgrade(db: sqlite3.Connection) -> None:
    """Add the two columns, their indexes, alone and together, and show them in the view."""
    for statement in STATEMENTS:
        db.execute(statement)
