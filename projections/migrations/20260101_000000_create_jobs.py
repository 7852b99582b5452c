"""Create `jobs`, with totals of live assets, `job_attempts` and `node_runs`."""

from asset_ledger.ledger.storage.database import SqlConnection

needs_events = True


def upgrade(db: SqlConnection) -> None:
    """Create the tables and their indexes. Two users may both have a `job_456`.

    Jobs are listed in the order of their first events. Both indexes hold columns that never change,
    so that counting the assets of a job updates no index.
    """
    db.execute(
        """
        CREATE TABLE jobs (
            user_id TEXT NOT NULL,
            job_id TEXT NOT NULL,
            attempt INTEGER NOT NULL DEFAULT 1,  -- the last
            workflow_id TEXT,
            parent_job_id TEXT,
            status TEXT NOT NULL DEFAULT 'untracked',
            error TEXT,
            parameters TEXT,
            started_at TEXT,
            finished_at TEXT,
            assets INTEGER NOT NULL DEFAULT 0,  -- live ones
            bytes INTEGER NOT NULL DEFAULT 0,   -- of live ones
            first_position INTEGER NOT NULL,
            last_position INTEGER NOT NULL,
            updated_at TEXT NOT NULL,           -- the time of the last event
            PRIMARY KEY (user_id, job_id)
        ) WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE job_attempts (
            user_id TEXT NOT NULL,
            job_id TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            status TEXT NOT NULL,
            error TEXT,
            started_at TEXT,
            finished_at TEXT,
            PRIMARY KEY (user_id, job_id, attempt)
        ) WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX jobs_by_user ON jobs (user_id, first_position)")
    db.execute("CREATE INDEX jobs_by_workflow ON jobs (user_id, workflow_id, first_position)")
    db.execute(
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
        """
    )
    db.execute("CREATE INDEX node_runs_by_node ON node_runs (user_id, node_id)")
    db.execute("CREATE INDEX node_runs_by_workflow ON node_runs (user_id, workflow_id, node_id)")
