"""The event log in PostgreSQL, with small contents, for any number of appending processes.

The table `stored_events` has the columns of eventsourcing's recorder, without the default of
`notification_id`: positions are dense, since the holder of one advisory lock assigns them. The
transaction of a group has its small contents, its events, and the rows of the tables.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg

from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.content.database import DELETE_CONTENTS, INSERT_CONTENTS
from asset_ledger.ledger.content.places import INSERT_OBJECT, key_of
from asset_ledger.ledger.errors import (
    BusyError,
    CorruptLogError,
    LedgerError,
    OutcomeUnknownError,
    StorageFailedError,
    VersionConflictError,
)
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.collected import check_unneeded, collected_digests
from asset_ledger.ledger.log.event_log import Appended, Command, Head, Outcome, Prepare
from asset_ledger.ledger.log.group import Group, Touched, jobs_of, keys_of, objects_of, streams_of
from asset_ledger.ledger.log.postgres_schema import has_schema, make_schema
from asset_ledger.ledger.log.reader import LAST, SqlLogReader, head_of
from asset_ledger.ledger.log.tree_rows import keep_checkpoint, keep_tiles
from asset_ledger.ledger.merkle.tree import leaf_hash, leaf_of
from asset_ledger.ledger.storage.postgres import (
    CONFIRM,
    LOG,
    PostgresConnection,
    PostgresReaders,
    is_lost,
    storage_error,
    unreachable,
)
from asset_ledger.ledger.storage.postgres_check import check_version, explained

APPEND_LOCK: Final = 0x616C6C6F67
"""The advisory lock of a transaction that appends: `allog`."""
SETUP_LOCK: Final = APPEND_LOCK + 1
CHANNEL: Final = "ledger"
"""Where NOTIFY sends the position of each group to every server."""

_VERSIONS: Final = """SELECT given.id, last.version FROM unnest(?::uuid[]) AS given(id)
    JOIN LATERAL (SELECT originator_version AS version FROM stored_events
        WHERE originator_id = given.id ORDER BY originator_version DESC LIMIT 1) AS last ON true"""
_KEYS: Final = """SELECT k.* FROM unnest(?::text[], ?::text[]) AS given(user_id, key)
    JOIN command_keys k USING (user_id, key)"""
_JOBS: Final = """SELECT h.* FROM unnest(?::text[], ?::text[]) AS given(user_id, job_id)
    JOIN job_heads h USING (user_id, job_id)"""
_INSERT_EVENTS: Final = """INSERT INTO stored_events
    (originator_id, originator_version, topic, state, notification_id)
    SELECT * FROM unnest(?::uuid[], ?::bigint[], ?::text[], ?::bytea[], ?::bigint[])"""
_INSERT_LEAVES: Final = "INSERT INTO event_leaves SELECT * FROM unnest(?::bigint[], ?::bytea[])"
_INSERT_TAGS: Final = """INSERT INTO event_tags
    SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::bigint[])"""
_INSERT_KEYS: Final = """INSERT INTO command_keys
    SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::bigint[])"""
_INSERT_JOBS: Final = """INSERT INTO job_heads
    SELECT * FROM unnest(?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::bigint[])
    ON CONFLICT (user_id, job_id) DO UPDATE
    SET seq = excluded.seq, attempt = excluded.attempt, ended = excluded.ended"""
_DROP_OBJECTS: Final = "DELETE FROM objects WHERE digest = ANY(?::bytea[])"
_FORGET_COLLECTED: Final = "DELETE FROM collected WHERE digest = ANY(?::bytea[])"
_INSERT_COLLECTED: Final = """INSERT INTO collected
    SELECT * FROM unnest(?::bytea[], ?::bigint[], ?::text[])"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(?)"
_NOTIFY: Final = f"SELECT pg_notify('{CHANNEL}', ?)"
_GENERATION: Final = "SELECT generation FROM in_use"
_LEAF: Final = "SELECT hash FROM event_leaves WHERE position = ?"

PIPELINED: Final = 256 << 10
"""Bytes of statements that are sent without waiting for answers; more of them could block both."""


class GenerationChangedError(Exception):
    """Another server has put another generation of the tables in use."""

    def __init__(self, generation: int) -> None:
        super().__init__(f"generation {generation} is in use")
        self.generation = generation


class PostgresLogReader(SqlLogReader):
    """A LogReader of the log in a database. See the protocol for its promises."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet: the first read does, or raises StorageFailedError."""
        super().__init__(PostgresReaders(url))


class PostgresLog(PostgresLogReader):
    """An EventLog in PostgreSQL. See the protocol for its promises.

    `db` is the connection of the thread that appends; tables share it. `generation`: that of the
    tables that it fills.
    """

    def __init__(self, url: str, codec: Codec, *, clock: Clock = utc_now) -> None:
        """Connect, and make what is missing. Raises StorageFailedError, DataFolderError if the
        database cannot be used, and CorruptLogError."""
        super().__init__(url)
        self._codec, self._clock = codec, clock
        self._failure: StorageFailedError | None = None
        self.generation: int | None = None
        try:
            self.db = PostgresConnection(url, (LOG,), is_log=True)
        except psycopg.OperationalError as error:
            raise unreachable(error) from error
        try:
            check_version(self.db)
            self._set_up()
            self._head = self._load_head()
        except BaseException as error:
            self.db.close()
            if isinstance(error, psycopg.Error):
                raise (unreachable if is_lost(error) else explained)(error) from error
            raise

    def _set_up(self) -> None:
        if has_schema(self.db):
            return
        with self.db.transaction() as db:
            db.execute(_LOCK, (SETUP_LOCK,))
            if not has_schema(db):
                make_schema(db)

    def _load_head(self) -> Head:
        """Return the end of the log, after comparing the last event with its leaf hash."""
        last = self.db.execute(LAST).fetchone()
        if last is None:
            return Head(0, None)
        position, *stored, leaf = last
        if leaf_hash(leaf_of(*stored)) != leaf:
            raise CorruptLogError(f"event {position} of the database was changed: restore a backup")
        return head_of(last)

    @property
    def failure(self) -> StorageFailedError | None:
        """The error that prevents all appends until a restart, or None."""
        return self._failure

    def append(
        self,
        commands: Sequence[Command],
        prepare: Prepare,
        contents: Mapping[Digest, bytes] | Sequence[Any] = (),
        apply: Callable[[Sequence[Outcome]], None] = lambda _: None,
        undo: Callable[[], None] = lambda: None,
    ) -> list[Outcome]:
        """Record or refuse each command with its small contents, in one transaction.

        `apply` fills the tables in the same transaction; `undo` reports that it was rolled back, or
        may have been. Retry the commands of a failed transaction one by one, so that only the
        failing one fails. Raises GenerationChangedError if the tables in use are not those of
        `generation`.
        """
        given = dict(contents)
        try:
            self._connect()
            return self._append_group(commands, prepare, given, apply, undo)
        except StorageFailedError as error:
            return [error] * len(commands)
        except psycopg.errors.LockNotAvailable:
            self._roll_back(undo)
            return [BusyError("another server holds the log for too long; retry")] * len(commands)
        except psycopg.Error as error:
            self._roll_back(undo)
            if len(commands) == 1 or is_lost(error):
                return [storage_error(error)] * len(commands)
        except BaseException:
            self._roll_back(undo)  # else the next group would commit the rows of this one
            raise
        return [
            each for one in commands for each in self.append([one], prepare, given, apply, undo)
        ]

    def _append_group(
        self,
        commands: Sequence[Command],
        prepare: Prepare,
        contents: Mapping[Digest, bytes],
        apply: Callable[[Sequence[Outcome]], None],
        undo: Callable[[], None],
    ) -> list[Outcome]:
        begun, touched = self._begin(commands, contents, undo)
        group = Group(touched, self._codec, self._clock(), prepare)
        outcomes = [self._refusal(command) or group.add(command) for command in commands]
        objects = objects_of(commands, outcomes)
        if not any(isinstance(each, Appended) for each in outcomes) and not contents:
            self.db.execute("ROLLBACK")
            return outcomes
        if not group.rows.events:  # replays: no standby may have confirmed their first COMMIT
            self.db.execute(CONFIRM)
        if objects:
            self.db.execute_many(INSERT_OBJECT, objects)
        if group.rows.events:
            self._insert(group)
            self._keep_collected(group, commands, outcomes)
            apply(outcomes)
        try:
            self.db.commit(begun)
        except psycopg.Error as error:
            undo()
            return self._after_lost_commit(error, group, outcomes)
        self._head = Head(group.position, group.recorded_at)
        return outcomes

    def _begin(
        self,
        commands: Sequence[Command],
        contents: Mapping[Digest, bytes],
        doubt: Callable[[], None],
    ) -> tuple[int, Touched]:
        """Begin, store the contents, take the lock, and load the state that the group needs.

        Call `doubt` if another server has appended since the last group.
        """
        streams, keys, jobs = streams_of(commands), keys_of(commands), jobs_of(commands)
        with self._pipelined(sum(map(len, contents.values()))):
            begun = self.db.begin()
            if contents:
                values = [*map(key_of, contents)], [*contents.values()]
                self.db.execute(INSERT_CONTENTS, values)
            self.db.execute(_LOCK, (APPEND_LOCK,))
            last, in_use = self.db.execute(LAST), self.db.execute(_GENERATION)
            found = [
                self.db.execute(_VERSIONS, (streams,)),
                self.db.execute(_KEYS, _columns(keys, 2)),
                self.db.execute(_JOBS, _columns(jobs, 2)),
            ]
        self._check_generation(in_use.fetchone())
        row, before = last.fetchone(), self._head
        self._head = Head(0, None) if row is None else head_of(row)
        if self._head.position != before.position:
            doubt()
        return begun, Touched.of(self._head, *(each.fetchall() for each in found))

    def _check_generation(self, in_use: Sequence[int] | None) -> None:
        if in_use is not None and self.generation not in (None, in_use[0]):
            raise GenerationChangedError(in_use[0])

    def look(self) -> bool:
        """Read what other servers have appended. Return whether the head moved.

        Raises GenerationChangedError and StorageFailedError.
        """
        before = self._head.position
        try:
            self._connect()
            self._head = self._load_head()
            self._check_generation(self.db.execute(_GENERATION).fetchone())
        except psycopg.Error as error:
            raise unreachable(error) from error
        return self._head.position != before

    def _refusal(self, command: Command) -> Exception | None:
        """Return why a command may not collect its contents; None for any other command."""
        if command.collects is None:
            return None
        try:
            check_unneeded(self.db, command)
        except VersionConflictError as conflict:
            return conflict
        return None

    def _keep_collected(
        self, group: Group, commands: Sequence[Command], outcomes: Sequence[Outcome]
    ) -> None:
        """Change the rows of contents that were stored or collected, and drop the latter."""
        changes = group.rows.collected
        if changes:
            self.db.execute(_FORGET_COLLECTED, ([*changes],))
        rows = [(key, *row) for key, row in changes.items() if row is not None]
        if not rows:
            return
        self.db.execute(_INSERT_COLLECTED, _columns(rows, 3))
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Appended):
                keys = [*map(key_of, collected_digests(command))]
                self.db.execute(DELETE_CONTENTS, (keys,))
                self.db.execute(_DROP_OBJECTS, (keys,))

    def _insert(self, group: Group) -> None:
        rows, first = group.rows, self._head.position + 1
        events = [
            (event.originator_id, event.originator_version, event.topic, event.state, position)
            for position, event in enumerate(rows.events, first)
        ]
        heads = [(*job, *head[:2], int(head[2])) for job, head in group.touched.jobs.items()]
        with self._pipelined(sum(len(event.state) for event in rows.events)):
            self.db.execute(_INSERT_EVENTS, _columns(events, 5))
            self.db.execute(_INSERT_LEAVES, _columns(rows.leaves, 2))
            for sql, values, width in (
                (_INSERT_TAGS, rows.tags, 4),
                (_INSERT_KEYS, rows.keys, 6),
                (_INSERT_JOBS, heads, 5),
            ):
                if values:
                    self.db.execute(sql, _columns(values, width))
            self.db.execute(_NOTIFY, (str(group.position),))
        keep_tiles(self.db, self._head.position, group.position)

    @contextmanager
    def _pipelined(self, size: int) -> Iterator[None]:
        if size > PIPELINED:
            yield
        else:
            with self.db.pipeline():
                yield

    def _connect(self) -> None:
        """Raise StorageFailedError if the database is still away."""
        if self.db.is_lost:
            try:
                self.db.reopen()
            except psycopg.OperationalError as error:
                raise unreachable(error) from error

    def _roll_back(self, undo: Callable[[], None]) -> None:
        undo()
        if self.db.in_transaction:
            with suppress(psycopg.Error):
                self.db.roll_back()

    def _after_lost_commit(
        self, error: psycopg.Error, group: Group, outcomes: list[Outcome]
    ) -> list[Outcome]:
        """Connect again, and find out whether the group is durable: with the lock, so that a COMMIT
        under way has ended, and at a standby, too. If it is not, refuse retries too: one may have
        brought a content."""
        leaf = next((each.leaf for each in reversed(outcomes) if _is_new(each)), b"")  # type: ignore[union-attr]
        try:
            self.db.reopen()
            with self.db.transaction() as db:
                db.execute(_LOCK, (APPEND_LOCK,))
                stored = db.execute(_LEAF, (group.position,)).fetchone()
                self._head = self._load_head()
            begun = self.db.begin()
            self.db.execute(CONFIRM)
            self.db.commit(begun)
        except (psycopg.Error, LedgerError):
            unknown = OutcomeUnknownError("the database was lost: repeat it with the same key")
            return [unknown if isinstance(each, Appended) else each for each in outcomes]
        if stored is not None and bytes(stored[0]) == leaf:
            return outcomes
        refusal = storage_error(error)
        return [refusal if isinstance(each, Appended) else each for each in outcomes]

    def keep_checkpoint(self, size: int, note: str) -> str:
        """Store a signed checkpoint unless one of its size is stored. Return the stored one."""
        try:
            self._connect()
            with self.db.transaction() as db:
                db.execute(_LOCK, (APPEND_LOCK,))
                return keep_checkpoint(db, size, note)
        except psycopg.Error as error:
            raise storage_error(error) from error

    def head(self) -> Head:
        """Return the end of the log, as of the last append."""
        return self._head

    def close(self) -> None:
        """Close every connection."""
        super().close()
        self.db.close()


def _is_new(outcome: Outcome) -> bool:
    return isinstance(outcome, Appended) and not outcome.replayed


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Return the columns of rows, as `unnest` takes them."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
