"""Jobs are listed in the order in which they began, all of them and a workflow's."""

import sqlite3

needs_facts = False


def upgrade(db: sqlite3.Connection) -> None:
    """Index what never changes of a job, so that counting its assets touches no index."""
    db.execute("CREATE INDEX jobs_by_user ON jobs (user_id, first_position)")
    db.execute("CREATE INDEX jobs_by_workflow ON jobs (user_id, workflow_id, first_position)")
