"""Which contents can be collected: those that no retained version of an asset names.

The log alone decides, in SQL over its events in a scratch file, so that memory does not grow.
Promise: what cannot be read is not collected, as the plan then fails as a whole.
"""

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple, Protocol

from asset_ledger.ledger.content.sparse import sparse_packs
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.errors import PoisonEventError
from asset_ledger.ledger.ids import AssetId, Digest, parse_digest
from asset_ledger.ledger.log.codec import EVENTS
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.sqlite import open_scratch

_TABLES: Final = (
    "CREATE TABLE present (digest TEXT PRIMARY KEY, size INTEGER, pack INTEGER) WITHOUT ROWID",
    """CREATE TABLE named (asset TEXT, version INTEGER, digest TEXT, at TEXT,
        PRIMARY KEY (asset, version)) WITHOUT ROWID""",
    "CREATE TABLE deleted (asset TEXT PRIMARY KEY, at TEXT) WITHOUT ROWID",
    "CREATE TABLE purged (asset TEXT PRIMARY KEY) WITHOUT ROWID",
)
_PACKED: Final = """INSERT INTO present
    SELECT 'sha256:' || lower(hex(digest)), size, pack FROM log.contents"""
_OBJECTS: Final = """INSERT INTO present
    SELECT 'sha256:' || lower(hex(digest)), size, NULL FROM log.objects"""
LARGE: Final = "INSERT INTO present VALUES (?, ?, NULL) ON CONFLICT DO NOTHING"
_HEAD: Final = "SELECT coalesce(max(rowid), 0) FROM log.stored_events"
_UNKNOWN: Final = "SELECT rowid, topic FROM log.stored_events WHERE topic NOT IN ({}) LIMIT 1"
_NAMED: Final = """INSERT INTO named SELECT originator_id, originator_version,
        json_extract(state, '$.digest'), json_extract(state, '$.recorded_at')
    FROM (SELECT originator_id, originator_version, CAST(state AS TEXT) AS state
        FROM log.stored_events WHERE rowid > :after AND rowid <= :last
        AND topic IN ('asset.created', 'asset.content_replaced'))
    WHERE json_extract(state, '$.digest') IS NOT NULL"""
_DELETED: Final = """INSERT INTO deleted SELECT originator_id,
        iif(topic = 'asset.deleted', json_extract(CAST(state AS TEXT), '$.recorded_at'), NULL)
    FROM log.stored_events WHERE rowid > :after AND rowid <= :last
    AND topic IN ('asset.deleted', 'asset.restored') ORDER BY rowid
    ON CONFLICT (asset) DO UPDATE SET at = excluded.at"""
_JUDGE: Final = """CREATE TABLE judged AS WITH versions AS (
    SELECT digest, asset, row_number() OVER latest AS nth, lag(at) OVER latest AS replaced_at
    FROM named WINDOW latest AS (PARTITION BY asset ORDER BY version DESC)
), uses AS (
    SELECT versions.*, deleted.at AS deleted_at, purged.asset IS NOT NULL AS purged
    FROM versions LEFT JOIN deleted USING (asset) LEFT JOIN purged USING (asset)
), named_by AS (
    SELECT digest, deleted_at IS NULL AS is_live, deleted_at IS NULL AND nth = 1 AS is_current,
        coalesce(deleted_at, replaced_at) AS since, deleted_at,
        CASE WHEN deleted_at IS NOT NULL AND (purged OR deleted_at <= :deleted_before) THEN 0
             ELSE nth <= 1 + :versions OR replaced_at > :replaced_before END AS retained
    FROM uses
), digests AS (
    SELECT digest, max(retained) AS retained, max(since) AS since,
        iif(count(deleted_at), 'deleted', 'superseded') AS reason,
        CASE WHEN NOT max(retained) THEN 'collectable' WHEN max(is_current) THEN 'live'
            WHEN max(is_live) THEN 'superseded' ELSE 'deleted' END AS state
    FROM named_by GROUP BY digest
)
SELECT present.digest, size, pack, coalesce(reason, 'unrecorded') AS reason, since,
    coalesce(state, 'collectable') AS state
FROM present LEFT JOIN digests USING (digest)"""
_CHOOSE: Final = """CREATE TABLE candidates AS SELECT digest, size, pack, reason, since
    FROM judged WHERE state = 'collectable' ORDER BY reason, since, digest"""
_OLDEST: Final = "SELECT * FROM candidates ORDER BY since, digest LIMIT ?"
_NEXT: Final = "SELECT * FROM candidates WHERE rowid > ? ORDER BY rowid LIMIT ?"
_SIZES: Final = "SELECT state, count(*), sum(size) FROM judged GROUP BY state"
_PURGE_ONLY: Final = "DELETE FROM present WHERE digest NOT IN ({})".format(
    "SELECT digest FROM named JOIN purged USING (asset)"
)

MOST_LISTED: Final = 1_000
PAGE: Final = 20_000
_ALL: Final = 2**62
_NEVER: Final = "9999"


class Retention(NamedTuple):
    """How long contents are retained that no live asset has.

    `versions`: the number of earlier versions of a live asset, or None for all; or, as a time,
    those that were replaced less long ago. `deleted`: how long a tombstone keeps its contents.
    """

    versions: int | timedelta | None = None
    deleted: timedelta = timedelta(days=30)


class Collectable(NamedTuple):
    """A content that can be collected: why, and since when (None: no event names it).

    `pack`: the number of the pack that has it; None if it has a file or an object of its own.
    """

    digest: Digest
    size: int
    pack: int | None
    reason: str
    since: str | None


class StateSize(NamedTuple):
    """The number of contents in a state, and their bytes together."""

    contents: int = 0
    size: int = 0


STATES: Final = ("live", "superseded", "deleted", "collectable")
"""Of a content: a live asset has it; retained for its earlier version; for a tombstone; not
retained. Each content is in the first of these states that applies."""


class CollectionPlan(NamedTuple):
    """What can be collected: how much, and the 1,000 contents that are the oldest.

    `sizes`: how much is stored in each state.
    """

    contents: list[Collectable]
    sizes: Mapping[str, StateSize]


class OpenPlan:
    """The contents that can be collected, in a scratch file, as of a position of the log.

    For the thread that opened it.
    """

    def __init__(self, db: sqlite3.Connection, position: int) -> None:
        self._db, self._last, self.position = db, 0, position
        found = {state: StateSize(*size) for state, *size in db.execute(_SIZES)}
        self.sizes = {state: found.get(state, StateSize()) for state in STATES}

    def oldest(self, limit: int) -> list[Collectable]:
        """Return the contents that can be collected for the longest time."""
        return [Collectable(*row) for row in self._db.execute(_OLDEST, (limit,))]

    def next_batch(self, limit: int) -> list[Collectable]:
        """Return the next contents, which have the same reason; none after the last one."""
        found = [Collectable(*row) for row in self._db.execute(_NEXT, (self._last, limit))]
        batch = [each for each in found if each.reason == found[0].reason]
        self._last += len(batch)
        return batch


class PlanSource(Protocol):
    """The stored contents, and the events that name them: what a plan is made from."""

    attached: Mapping[str, Path]
    """Database files that `fill` reads, by the names of their schemas in the scratch file."""

    def fill(self, plan: sqlite3.Connection) -> int:
        """Insert contents, and what events say of them, into the tables of a scratch file. Return
        the position of the last event.

        Contents first: the event of each is then below the head, or its upload is under way. Raises
        PoisonEventError for an event that this release does not know.
        """

    def sparse(self, emptied: AbstractSet[int]) -> Collection[int]:
        """Return the packs to rewrite: these, and those that have mostly collected contents."""


class FolderPlanSource:
    """What a data folder stores. See `PlanSource` for the methods."""

    def __init__(self, files: ContentFolder) -> None:
        self._files = files
        self.attached: Mapping[str, Path] = {"log": files.log}

    def fill(self, plan: sqlite3.Connection) -> int:
        """Insert contents, and what events say of them, into the tables of a scratch file."""
        plan.execute(_PACKED)
        plan.execute(_OBJECTS)
        plan.executemany(LARGE, large_contents(self._files))
        (head,) = plan.execute(_HEAD).fetchone()
        refuse_unknown(plan.execute(_UNKNOWN.format(", ".join("?" * len(TOPICS))), TOPICS))
        for after in range(0, head, PAGE):
            window = {"after": after, "last": min(after + PAGE, head)}
            plan.execute(_NAMED, window)
            plan.execute(_DELETED, window)
        return int(head)

    def sparse(self, emptied: AbstractSet[int]) -> Collection[int]:
        """Return the packs to rewrite."""
        return emptied | {*sparse_packs(self._files)}


TOPICS: Final = sorted({kind.TOPIC for kind in EVENTS})


def refuse_unknown(found: Iterable[Sequence[Any]]) -> None:
    """Raise PoisonEventError for the first (position, topic) of an unknown event."""
    for position, topic in found:
        raise PoisonEventError(position, f"it has the topic {topic}", "unknown topic")


@contextmanager
def open_plan(
    stored: PlanSource, retention: Retention, now: datetime, purged: frozenset[AssetId] | None
) -> Iterator[OpenPlan]:
    """Read the log, and yield what can be collected.

    `purged`: deleted assets whose contents are not retained any longer; then only theirs are
    returned. Raises PoisonEventError for an event that this release does not know, sqlite3.Error.
    """
    with (
        TemporaryDirectory(prefix="asset-ledger-") as scratch,
        closing(open_scratch(Path(scratch) / "plan.db", stored.attached)) as db,
    ):
        for table in _TABLES:
            db.execute(table)
        head = stored.fill(db)
        if purged is not None:
            db.executemany("INSERT INTO purged VALUES (?)", [(each,) for each in purged])
            db.execute(_PURGE_ONLY)
        db.execute(_JUDGE, _limits(retention, now))
        db.execute(_CHOOSE)
        yield OpenPlan(db, head)


def plan_collection(stored: PlanSource, retention: Retention, now: datetime) -> CollectionPlan:
    """Return what can be collected. Raises as `open_plan` does."""
    with open_plan(stored, retention, now, None) as plan:
        return CollectionPlan(plan.oldest(MOST_LISTED), plan.sizes)


def _limits(retention: Retention, now: datetime) -> dict[str, int | str]:
    versions = retention.versions
    return {
        "deleted_before": _before(now, retention.deleted),
        "versions": _ALL if versions is None else versions if isinstance(versions, int) else 0,
        "replaced_before": _before(now, versions) if isinstance(versions, timedelta) else _NEVER,
    }


def _before(now: datetime, age: timedelta) -> str:
    """Return the time that was `age` ago; the year 1 if that is longer ago."""
    return iso(now - min(age, now - datetime.min.replace(tzinfo=UTC)))


def large_contents(files: ContentFolder) -> Iterator[tuple[str, int]]:
    """Yield the digest and the size of each large content. Files of other programs are left out."""
    for folder, _, names in os.walk(files.objects):
        for name in names:
            with suppress(ValueError, FileNotFoundError):  # no digest; removed at this moment
                digest, path = parse_digest(f"sha256:{name}"), Path(folder) / name
                if path == files.object(digest):
                    yield digest, path.stat().st_size
