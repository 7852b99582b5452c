"""Indexes that are made after the rows: filling a table without them is several times as fast.

What was taken away is named in the file itself, in the transaction that took it: wherever a kill
strikes, whoever opens the file next can put back what it lacks.
"""

from typing import Final

from asset_ledger.ledger.storage.sqlite import transaction
from asset_ledger.projections.runtime.database import Database

_DEFER: Final = """
    INSERT INTO deferred_indexes SELECT name, sql FROM sqlite_master
    WHERE type = 'index' AND sql LIKE 'CREATE INDEX %'  -- one that is unique decides over rows
"""


def defer_indexes(database: Database) -> None:
    """Take away every index of a file that only serves its readers."""
    with transaction(database.write) as db:
        db.execute(_DEFER)
        for (name,) in db.execute("SELECT name FROM deferred_indexes").fetchall():
            db.execute(f'DROP INDEX "{name}"')


def restore_indexes(database: Database) -> None:
    """Make what was taken away, each in a transaction of its own. Nothing to do is no harm."""
    lacking = database.write.execute("SELECT name, sql FROM deferred_indexes").fetchall()
    for name, sql in lacking:
        with transaction(database.write) as db:
            db.execute(sql)
            db.execute("DELETE FROM deferred_indexes WHERE name = ?", (name,))
