"""Create the tables of usage: totals of live assets and of node runs, and what keeps them exact.

Extremes (largest, first, last) are stored for each group and each block of 1,024 positions. If an
asset leaves a group, only the extremes of its block have to be computed again.
"""

from asset_ledger.ledger.storage.database import SqlConnection

needs_events = True

DIMENSIONS = ("node_id", "job_id", "workflow_id", "content_type", "day", "quarter")
BLOCK = 1_024

FACETS = " UNION ALL ".join(
    f"""
    SELECT seq, id, live, user_id, '{name}' AS dimension, coalesce({name}, '') AS key,
        seq / {BLOCK} AS block, size, created_at
    FROM usage_assets
    """
    for name in DIMENSIONS
)
STATEMENTS = (
    """
    CREATE TABLE usage (
        user_id TEXT NOT NULL,
        dimension TEXT NOT NULL,
        key TEXT NOT NULL,  -- '' for none: no id is empty
        count INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        largest INTEGER NOT NULL,
        first_seen TEXT NOT NULL,  -- '~' without assets
        last_seen TEXT NOT NULL,   -- '' without assets
        runs INTEGER NOT NULL DEFAULT 0,    -- of nodes, that ended
        failed INTEGER NOT NULL DEFAULT 0,
        micros INTEGER NOT NULL DEFAULT 0,  -- of these runs
        PRIMARY KEY (user_id, dimension, key)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX usage_by_count ON usage (user_id, dimension, count)",
    "CREATE INDEX usage_by_bytes ON usage (user_id, dimension, bytes)",
    "CREATE INDEX usage_by_largest ON usage (user_id, dimension, largest)",
    "CREATE INDEX usage_by_failed ON usage (user_id, dimension, failed)",
    "CREATE INDEX usage_by_micros ON usage (user_id, dimension, micros)",
    """
    CREATE TABLE usage_blocks (
        user_id TEXT NOT NULL,
        dimension TEXT NOT NULL,
        key TEXT NOT NULL,
        block INTEGER NOT NULL,
        largest INTEGER NOT NULL,
        first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL,
        PRIMARY KEY (user_id, dimension, key, block)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE usage_assets (
        seq INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        user_id TEXT NOT NULL,
        workflow_id TEXT,
        node_id TEXT,
        job_id TEXT,
        content_type TEXT NOT NULL,
        created_at TEXT NOT NULL,
        size INTEGER NOT NULL,
        live BOOLEAN NOT NULL DEFAULT true,
        day TEXT GENERATED ALWAYS AS (substr(created_at, 1, 10)) VIRTUAL,
        quarter TEXT GENERATED ALWAYS AS (
            substr(created_at, 1, 14) || CASE
                WHEN substr(created_at, 15, 2) < '15' THEN '00'
                WHEN substr(created_at, 15, 2) < '30' THEN '15'
                WHEN substr(created_at, 15, 2) < '45' THEN '30' ELSE '45' END
        ) VIRTUAL
    )
    """,
    # It covers the timeline of a job.
    """
    CREATE INDEX usage_assets_by_job
        ON usage_assets (user_id, job_id, created_at, node_id, size, live)
        WHERE live AND job_id IS NOT NULL
    """,
    f"CREATE VIEW usage_facets AS {FACETS}",
    # The next three tables are empty between transactions.
    """
    CREATE TABLE usage_changes (
        user_id TEXT NOT NULL, dimension TEXT NOT NULL, key TEXT NOT NULL, block INTEGER NOT NULL,
        sign INTEGER NOT NULL, size INTEGER NOT NULL, created_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE usage_runs (
        user_id TEXT NOT NULL, dimension TEXT NOT NULL, key TEXT NOT NULL, failed INTEGER NOT NULL,
        micros INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE usage_lost (
        user_id TEXT NOT NULL, dimension TEXT NOT NULL, key TEXT NOT NULL, block INTEGER NOT NULL
    )
    """,
)


def upgrade(db: SqlConnection) -> None:
    """Create the table of totals and its auxiliary tables."""
    for statement in STATEMENTS:
        db.execute(statement)
