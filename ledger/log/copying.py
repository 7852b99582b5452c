"""Copy a log from the stored bytes of another: no event is decided, stamped or encoded again.

Until `finish`, the copy has another file name, so that no server opens an incomplete log.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from eventsourcing.persistence import StoredEvent

from asset_ledger.ledger.clock import utc_now
from asset_ledger.ledger.content.places import INSERT_OBJECT, key_of
from asset_ledger.ledger.content.store import StoredObject
from asset_ledger.ledger.domain.attempts import JobHead
from asset_ledger.ledger.domain.event import Event, TaggedEvent, job_stamp, moment
from asset_ledger.ledger.errors import LedgerError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.collected import drop_places
from asset_ledger.ledger.log.command import command_hash
from asset_ledger.ledger.log.event_log import Command, CommandKey, Head, LogReader
from asset_ledger.ledger.log.group import Group, Rows, Touched, collected_by, tags_of
from asset_ledger.ledger.log.reader import SqlLogReader
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.merkle.tiles import Tiles
from asset_ledger.ledger.merkle.tree import leaf_hash
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.files import sync_folder
from asset_ledger.ledger.storage.sqlite import insert_rows, transaction

INSERT_KEYS: Final = """INSERT INTO command_keys VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING"""


class KeyRow(NamedTuple):
    """An Idempotency-Key, its request, and the first and last position of its events."""

    user_id: str
    key: str
    operation: str
    fingerprint: str
    first: int
    last: int


class Copied(NamedTuple):
    """An event to copy: its stored bytes, the decoded event, and the bytes of its Merkle leaf."""

    stored: StoredEvent
    event: Event
    leaf: bytes


class NotNextError(LedgerError):
    """The event at `position` cannot follow the events before it."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position


def keys_upto(log: SqlLogReader, upto: int, after: int = 0) -> Iterator[KeyRow]:
    """Yield the Idempotency-Keys whose events end after `after`, and at or before `upto`.

    A server may be running.
    """
    last = ("", "")
    while rows := log.commands(last, after, upto):
        yield from map(KeyRow._make, rows)
        last = rows[-1][:2]


class LogCopy(LogReader, Protocol):
    """A log that stores copied events unchanged, for one process at a time."""

    def copy(self, events: Sequence[Copied]) -> None:
        """Append the next events in one transaction. Raises NotNextError, StorageFailedError."""

    def keep_keys(self, rows: Sequence[KeyRow]) -> None:
        """Insert these Idempotency-Keys of the same log, except those that exist."""

    def keep_object(self, stored: StoredObject) -> None:
        """Store the row of a large content in an object store, durably."""

    def keep_checkpoint(self, size: int, note: str) -> str:
        """Store a signed checkpoint unless one of its size is stored. Return the stored one."""

    def object_url(self, digest: Digest) -> str | None:
        """Return the URL of a large content in an object store; None if it has none."""

    def forget(self, digests: Sequence[Digest]) -> None:
        """Delete the rows of contents that an event has collected."""

    def root(self, size: int) -> bytes:
        """Return the Merkle root over the first `size` events."""


def finish(folder: Path) -> None:
    """Give the copied log, which must be closed, its final file name."""
    files = DataFolder(folder)
    files.unfinished_log.rename(files.log)
    sync_folder(folder)


class CopiedLog(SqliteLog):
    """A log that stores copied events unchanged. The caller holds the lock of its folder."""

    def __init__(self, folder: Path, codec: Codec) -> None:
        """Begin a copy, or continue an interrupted one. Raises CorruptLogError."""
        super().__init__(DataFolder(folder).unfinished_log, codec)

    def copy(self, events: Sequence[Copied]) -> None:
        """Append the next events in one transaction. Raises NotNextError."""
        with transaction(self._db):
            touched = self._touched([Command([copied.event for copied in events])])
            group = copied_group(touched, events, self._codec)
            self._insert(group)
        self._head = Head(group.position, moment(events[-1].event))

    def copy_keys(self, rows: Sequence[KeyRow]) -> None:
        """Insert these Idempotency-Keys, except those that exist.

        Raises NotNextError for a key that its events do not name: they have its hash.
        """
        for row in rows:
            self._check_key(row)
        self.keep_keys(rows)

    def keep_keys(self, rows: Sequence[KeyRow]) -> None:
        """Insert these Idempotency-Keys of the same log, except those that exist."""
        with transaction(self._db):
            insert_rows(self._db, INSERT_KEYS, rows)

    def keep_object(self, stored: StoredObject) -> None:
        """Store the row of a large content in an object store, durably."""
        with transaction(self._db):
            insert_rows(self._db, INSERT_OBJECT, [(key_of(stored.digest), *stored[1:])])

    def _check_key(self, row: KeyRow) -> None:
        size = row.last - row.first + 1
        if not 0 < row.first <= row.last <= self._head.position:
            raise NotNextError(row.first, f"the key {row.key!r} has events that are not there")
        named = command_hash(CommandKey(*row[:4]))
        for stored in self.read(row.first - 1, size):
            event = self._codec.decode(stored).event
            if getattr(event, "command", None) != named:
                raise NotNextError(stored.id, f"no event names the key {row.key!r}")

    def forget(self, digests: Sequence[Digest]) -> None:
        """Delete the places of contents that an event has collected."""
        with transaction(self._db):
            drop_places(self._db, digests)

    def root(self, size: int) -> bytes:
        """Return the Merkle root over the first `size` events."""
        return Tiles(self).root(size)


def copied_group(touched: Touched, events: Sequence[Copied], codec: Codec) -> Group:
    """Return the group of the next events, with the rows to insert. Raises NotNextError.

    `touched`: the state of their streams and jobs before them.
    """
    group = Group(touched, codec, utc_now(), _no_prepare)
    last = touched.head.recorded_at
    for copied in events:
        group.position += 1
        event = copied.event
        if last is not None and moment(event) < last:
            raise NotNextError(group.position, "has an earlier time than the event before it")
        last = moment(event)
        _check_next(group, event)
        group.rows.extend(_rows(group.position, copied))
    return group


def _check_next(group: Group, event: Event) -> None:
    """Raise NotNextError unless this is the next event of its stream and of its job."""
    versions, stream = group.touched.versions, event.originator_id
    if event.originator_version != versions.get(stream, 0) + 1:
        raise NotNextError(group.position, f"is not the next version of the stream {stream}")
    versions[stream] = event.originator_version
    if not isinstance(event, TaggedEvent) or event.job_id is None:
        return
    job, jobs = (event.user_id, event.job_id), group.touched.jobs
    head, stamp = jobs.get(job, JobHead()), job_stamp(event)
    if stamp is None or not head.allows(event, stamp):
        raise NotNextError(group.position, f"does not continue the events of job {event.job_id}")
    jobs[job] = head.after(event, stamp)


def _rows(position: int, copied: Copied) -> Rows:
    event = copied.event
    tags = tags_of(event) if isinstance(event, TaggedEvent) else []
    owner = event.user_id if isinstance(event, TaggedEvent) else ""
    return Rows(
        events=[copied.stored],
        leaves=[(position, leaf_hash(copied.leaf))],
        tags=[(owner, kind, value, position) for kind, value in tags],
        collected=collected_by(position, event),
    )


def _no_prepare(_: object) -> Any:
    return None
