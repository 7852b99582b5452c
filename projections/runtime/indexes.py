"""Drop indexes before a bulk fill and make them again after it, which is several times as fast.

The transaction that drops an index stores its SQL in the file, so that `restore_indexes` can
complete the file after a kill.
"""

from typing import Final

from asset_ledger.ledger.storage.sqlite import transaction
from asset_ledger.projections.runtime.database import Database

_DEFER: Final = """
    INSERT INTO deferred_indexes SELECT name, sql FROM sqlite_master
    WHERE type = 'index' AND sql LIKE 'CREATE INDEX %'  -- one that is unique decides over rows
"""


def defer_indexes(database: Database) -> None:
    """Drop every index of a file that is not unique."""
    with transaction(database.write) as db:
        db.execute(_DEFER)
        for (name,) in db.execute("SELECT name FROM deferred_indexes").fetchall():
            db.execute(f'DROP INDEX "{name}"')


def restore_indexes(database: Database) -> None:
    """Make the indexes that were dropped, each in a transaction of its own."""
    lacking = database.write.execute("SELECT name, sql FROM deferred_indexes").fetchall()
    for name, sql in lacking:
        with transaction(database.write) as db:
            db.execute(sql)
            db.execute("DELETE FROM deferred_indexes WHERE name = ?", (name,))
