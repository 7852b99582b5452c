"""What a database stores, for the plan of a collection: copied into its scratch file."""

import sqlite3
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg

from asset_ledger.ledger.commands.collection_plan import (
    LARGE,
    PAGE,
    TOPICS,
    large_contents,
    refuse_unknown,
)
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.postgres import LOG, PostgresConnection, unreachable

_CONTENTS: Final = """SELECT 'sha256:' || encode(digest, 'hex'), length(bytes), 0 FROM contents"""
_OBJECTS: Final = "SELECT 'sha256:' || encode(digest, 'hex'), size FROM objects"
_HEAD: Final = "SELECT coalesce(max(notification_id), 0) FROM stored_events"
_UNKNOWN: Final = """SELECT notification_id, topic FROM stored_events
    WHERE topic <> ALL(?::text[]) LIMIT 1"""
_NAMED: Final = """SELECT * FROM (SELECT originator_id, originator_version,
        convert_from(state, 'UTF8')::json ->> 'digest' AS digest,
        convert_from(state, 'UTF8')::json ->> 'recorded_at' AS recorded_at
    FROM stored_events WHERE notification_id > ? AND notification_id <= ?
        AND topic IN ('asset.created', 'asset.content_replaced')) AS named
    WHERE digest IS NOT NULL"""
_DELETED: Final = """SELECT originator_id, CASE WHEN topic = 'asset.deleted'
        THEN convert_from(state, 'UTF8')::json ->> 'recorded_at' END
    FROM stored_events WHERE notification_id > ? AND notification_id <= ?
        AND topic IN ('asset.deleted', 'asset.restored') ORDER BY notification_id"""
_KEEP_NAMED: Final = "INSERT INTO named VALUES (?, ?, ?, ?)"
_KEEP_DELETED: Final = """INSERT INTO deleted VALUES (?, ?)
    ON CONFLICT (asset) DO UPDATE SET at = excluded.at"""


class DatabasePlanSource:
    """What a database stores, and large contents in a folder. See `PlanSource` for the methods."""

    attached: Mapping[str, Path] = {}

    def __init__(self, url: str, files: ContentFolder) -> None:
        self._url, self._files = url, files

    def fill(self, plan: sqlite3.Connection) -> int:
        """Insert contents, and what events say of them, into the tables of a scratch file.

        Raises StorageFailedError.
        """
        try:
            return self._fill(plan)
        except psycopg.OperationalError as error:
            raise unreachable(error) from error

    def _fill(self, plan: sqlite3.Connection) -> int:
        with closing(PostgresConnection(self._url, (LOG,), read_only=True)) as db:
            plan.executemany("INSERT INTO present VALUES (?, ?, ?)", db.stream(_CONTENTS, ()))
            plan.executemany(LARGE, db.stream(_OBJECTS, ()))
            plan.executemany(LARGE, large_contents(self._files))
            (head,) = db.execute(_HEAD).fetchone()
            refuse_unknown(db.execute(_UNKNOWN, (TOPICS,)))
            for after in range(0, head, PAGE):
                window = (after, min(after + PAGE, head))
                plan.executemany(_KEEP_NAMED, db.execute(_NAMED, window))
                plan.executemany(_KEEP_DELETED, db.execute(_DELETED, window))
        return int(head)

    def sparse(self, emptied: AbstractSet[int]) -> Collection[int]:
        """Return no packs: a row has each content."""
        return ()
