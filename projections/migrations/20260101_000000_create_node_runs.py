"""Create the table `node_runs`: a row for each recorded run of a node."""

import sqlite3

needs_events = True

STATEMENTS = (
    """
    CREATE TABLE node_runs (
        user_id TEXT NOT NULL,
        job_id TEXT NOT NULL,
        node_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        run TEXT NOT NULL,
        workflow_id TEXT,
        status TEXT NOT NULL,
        error TEXT,
        micros INTEGER,  -- the duration in microseconds: sums of integers are exact
        started_at TEXT,
        finished_at TEXT,
        first_position INTEGER NOT NULL,
        last_position INTEGER NOT NULL,
        PRIMARY KEY (user_id, job_id, node_id, attempt, run)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX node_runs_by_workflow ON node_runs (user_id, workflow_id, node_id)",
    "CREATE INDEX node_runs_by_node ON node_runs (user_id, node_id)",
)


def upgrade(db: sqlite3.Connection) -> None:
    """Create the table, with indexes for usage by workflow and by node."""
    for statement in STATEMENTS:
        db.execute(statement)
