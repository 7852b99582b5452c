"""What each job made: running totals, and its frame where somebody gave it one."""

import sqlite3

needs_facts = True


def upgrade(db: sqlite3.Connection) -> None:
    """Make the table. Two users may both have a `job_456`."""
    db.execute(
        """
        CREATE TABLE jobs (
            user_id TEXT NOT NULL,
            job_id TEXT NOT NULL,
            workflow_id TEXT,
            parent_job_id TEXT,
            status TEXT NOT NULL DEFAULT 'unframed',
            error TEXT,
            parameters TEXT,
            started_at TEXT,
            finished_at TEXT,
            assets INTEGER NOT NULL DEFAULT 0,  -- live ones
            bytes INTEGER NOT NULL DEFAULT 0,   -- of live ones
            first_position INTEGER NOT NULL,
            last_position INTEGER NOT NULL,
            PRIMARY KEY (user_id, job_id)
        ) WITHOUT ROWID
        """
    )
