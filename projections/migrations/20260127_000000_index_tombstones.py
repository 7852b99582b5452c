"""What was deleted is listed too, and found by its folder, to be restored along with it."""

import sqlite3

needs_facts = True  # the JSON of a tombstone says since when and by whom

STATEMENTS = (
    "CREATE INDEX assets_deleted ON assets (user_id) WHERE deleted_at IS NOT NULL",
    """
    CREATE INDEX assets_deleted_by_parent ON assets (user_id, parent_id)
        WHERE deleted_at IS NOT NULL
    """,
)


def upgrade(db: sqlite3.Connection) -> None:
    """Index the tombstones alone, so that recording a new asset costs no more than before."""
    for statement in STATEMENTS:
        db.execute(statement)
