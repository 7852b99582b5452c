"""The event log in one SQLite file.

The table `stored_events` is eventsourcing's: its recorder can open the file. The same transactions
fill tables of tags, Idempotency-Keys, last job numbers, leaf hashes, Merkle tiles and the places of
small contents.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.content.places import (
    COLLECTED_TABLE,
    CONTENTS_TABLE,
    INSERT_OBJECT,
    OBJECTS_TABLE,
    Place,
    find_places,
    insert_places,
)
from asset_ledger.ledger.errors import (
    CorruptLogError,
    LedgerError,
    OutcomeUnknownError,
    StorageFailedError,
    UnavailableError,
    VersionConflictError,
)
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.collected import (
    check_unneeded,
    collected_digests,
    drop_places,
    has_collected,
    keep_collected,
)
from asset_ledger.ledger.log.event_log import Appended, Command, Head, Outcome, Prepare
from asset_ledger.ledger.log.group import (
    Group,
    Touched,
    jobs_of,
    keys_of,
    objects_of,
    streams_of,
)
from asset_ledger.ledger.log.reader import LAST, head_of
from asset_ledger.ledger.log.side_tables import SIDE_TABLES
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.log.tree_rows import (
    TREE_GUARDS,
    TREE_TABLES,
    add_missing_tiles,
    keep_checkpoint,
    keep_tiles,
)
from asset_ledger.ledger.merkle.tree import leaf_hash, leaf_of
from asset_ledger.ledger.storage.files import NamedFile
from asset_ledger.ledger.storage.sqlite import (
    RESTORE,
    expect_groups,
    insert_rows,
    is_fatal,
    open_writer,
    refusing_damage,
    storage_error,
    transaction,
)

# Triggers that keep events unchanged. A REPLACE fires the DELETE trigger only with
# recursive_triggers on, which other programs leave off: hence the trigger before INSERT.
_GUARDS: Final = (
    *(
        f"""CREATE TRIGGER IF NOT EXISTS {table}_never_{verb} BEFORE {verb} ON {table}
        BEGIN SELECT RAISE(ABORT, 'events never change'); END"""
        for table in ("stored_events", "event_tags", "command_keys", "event_leaves")
        for verb in ("UPDATE", "DELETE")
    ),
    """CREATE TRIGGER IF NOT EXISTS stored_events_never_REPLACE BEFORE INSERT ON stored_events
        WHEN EXISTS (SELECT 1 FROM stored_events WHERE originator_id = NEW.originator_id
                     AND originator_version = NEW.originator_version)
          OR EXISTS (SELECT 1 FROM stored_events WHERE rowid = NEW.rowid)
        BEGIN SELECT RAISE(ABORT, 'events never change'); END""",
)
_SCHEMA: Final = (
    *SIDE_TABLES,
    CONTENTS_TABLE,
    OBJECTS_TABLE,
    COLLECTED_TABLE,
    *TREE_TABLES,
    *_GUARDS,
    *TREE_GUARDS,
)

# Only existing streams: most are new, and each fetched row releases the GIL.
_VERSIONS: Final = """SELECT value, version FROM (SELECT value, (SELECT max(originator_version)
    FROM stored_events WHERE originator_id = value) AS version FROM json_each(?))
    WHERE version IS NOT NULL"""
_KEYS: Final = """SELECT k.* FROM json_each(?) j CROSS JOIN command_keys k
    ON k.user_id = j.value ->> 0 AND k.key = j.value ->> 1"""
_JOB_HEADS: Final = """SELECT h.* FROM json_each(?) j CROSS JOIN job_heads h
    ON h.user_id = j.value ->> 0 AND h.job_id = j.value ->> 1"""
_INSERT_JOB_HEAD: Final = """INSERT INTO job_heads VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (user_id, job_id) DO UPDATE
    SET seq = excluded.seq, attempt = excluded.attempt, ended = excluded.ended"""

_IN_PACK: Final = "SELECT 1 FROM contents WHERE pack = ? LIMIT 1"

_UNKNOWN: Final = "the commit failed, outcome unknown: repeat it with the same Idempotency-Key"


def _recorder(path: Path | str) -> SQLiteApplicationRecorder:
    return SQLiteApplicationRecorder(SQLiteDatastore(str(path)))


def schema() -> Sequence[str]:
    """Return the statements that make the tables and the triggers of a log."""
    return (*_recorder(":memory:").create_table_statements, *_SCHEMA)


class SqliteLog(SqliteLogReader):
    """An EventLog in a SQLite file. See the protocol for its promises."""

    def __init__(
        self,
        path: Path,
        codec: Codec,
        *,
        clock: Clock = utc_now,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        """Open or create the file. Raises CorruptLogError if it is damaged.

        `factory` is the class of the writing connection.
        """
        self._path, self._codec, self._clock, self._factory = path, codec, clock, factory
        self._recorder = _recorder(path)
        self._failure: StorageFailedError | None = None
        self._open()
        super().__init__(path)

    def _open(self) -> None:
        with refusing_damage(self._path, RESTORE, CorruptLogError):
            self._db = self._connect()
            self._prepare_file()
            self._file = NamedFile(self._path)

    def _connect(self) -> sqlite3.Connection:
        return expect_groups(open_writer(self._path, "FULL", self._factory))

    def _prepare_file(self) -> None:
        try:
            with transaction(self._db):
                for statement in schema():
                    self._db.execute(statement)
            self._head = self._load_head()
            self._has_collected = has_collected(self._db)
            add_missing_tiles(self._db, self._head.position)
        except BaseException:
            self._db.close()
            raise

    def _load_head(self) -> Head:
        """Return the end of the log, after comparing the last event with its leaf hash."""
        (leaves,) = self._db.execute("SELECT max(position) FROM event_leaves").fetchone()
        last = self._db.execute(LAST).fetchone()
        if (last[0] if last else None) != leaves:
            raise CorruptLogError(f"{self._path} lacks events or leaf hashes at its end. {RESTORE}")
        if last is None:
            return Head(0, None)
        position, *stored, leaf = last
        if not isinstance(stored[-1], bytes) or leaf_hash(leaf_of(*stored)) != leaf:
            raise CorruptLogError(f"{self._path}: event {position} was changed. {RESTORE}")
        return head_of(last)

    @property
    def failure(self) -> StorageFailedError | None:
        """The error that prevents all appends until a restart, or None."""
        return self._failure

    def refuse_writes(self, reason: StorageFailedError) -> None:
        """Refuse all appends until a restart."""
        self._failure = reason

    def append(
        self, commands: Sequence[Command], prepare: Prepare, places: Sequence[Place] = ()
    ) -> list[Outcome]:
        """Record or refuse each command, in one transaction; see the protocol.

        Retry the commands of a failed transaction one by one, so that only the failing one fails.
        """
        if self._failure is not None:
            return [self._failure] * len(commands)
        try:
            self._file.check()
            return self._append_group(commands, prepare, places)
        except StorageFailedError as error:
            return [error] * len(commands)
        except _CommitFailedError as failed:
            return self._outcomes_after_failed_commit(failed)
        except sqlite3.Error as error:
            self._give_up_group(error)
            if len(commands) == 1:
                return [storage_error(error)]
        except BaseException:
            self._roll_back()  # else the next group would commit the rows of this one
            raise
        return [each for command in commands for each in self.append([command], prepare, places)]

    def _append_group(
        self, commands: Sequence[Command], prepare: Prepare, places: Sequence[Place]
    ) -> list[Outcome]:
        self._db.execute("BEGIN IMMEDIATE")
        group = Group(self._touched(commands), self._codec, self._clock(), prepare)
        outcomes = [self._refusal(command) or group.add(command) for command in commands]
        objects = objects_of(commands, outcomes)
        if not group.rows.events and not places and not objects:
            self._db.execute("ROLLBACK")
            return outcomes
        insert_places(self._db, places)
        insert_rows(self._db, INSERT_OBJECT, objects)
        self._insert(group)
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Appended):
                drop_places(self._db, collected_digests(command))
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise _CommitFailedError(error, outcomes) from error
        self._head = Head(group.position, group.recorded_at)
        return outcomes

    def _refusal(self, command: Command) -> Exception | None:
        """Return why a command may not collect its contents; None for any other command."""
        if command.collects is None:
            return None
        try:
            check_unneeded(self._db, command)
        except VersionConflictError as conflict:
            return conflict
        return None

    def _touched(self, commands: Sequence[Command]) -> Touched:
        """Load the state that the group needs, in three queries."""
        versions = self._set_query(_VERSIONS, streams_of(commands))
        keys = self._set_query(_KEYS, keys_of(commands))
        jobs = self._set_query(_JOB_HEADS, jobs_of(commands))
        return Touched.of(self._head, versions, keys, jobs)

    def _set_query(self, sql: str, names: Sequence[Any]) -> list[Any]:
        return self._db.execute(sql, (_json(names),)).fetchall() if names else []

    def _insert(self, group: Group) -> None:
        db, rows = self._db, group.rows
        events = [*map(_stored, rows.events)]
        last = insert_rows(db, self._recorder.insert_events_statement, events)
        if events and last != group.position:
            raise sqlite3.DatabaseError("stored_events returned a position that is not the next")
        insert_rows(db, "INSERT INTO event_leaves VALUES (?, ?)", rows.leaves)
        self._keep_tiles(group)
        insert_rows(db, "INSERT INTO event_tags VALUES (?, ?, ?, ?)", rows.tags)
        insert_rows(db, "INSERT INTO command_keys VALUES (?, ?, ?, ?, ?, ?)", rows.keys)
        heads = [(*job, *head) for job, head in group.touched.jobs.items()]
        insert_rows(db, _INSERT_JOB_HEAD, heads)
        if self._has_collected or any(rows.collected.values()):
            keep_collected(db, rows.collected)
            self._has_collected = True

    def _keep_tiles(self, group: Group) -> None:
        try:
            keep_tiles(self._db, self._head.position, group.position)
        except CorruptLogError as error:  # a file without these rows is damaged
            damage = sqlite3.DatabaseError(str(error))
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage from error

    def _give_up_group(self, error: sqlite3.Error) -> None:
        if is_fatal(error):
            self._failure = storage_error(error)
        self._roll_back()

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # an I/O error may have rolled back by itself
            self._db.execute("ROLLBACK")

    def _outcomes_after_failed_commit(self, failed: "_CommitFailedError") -> list[Outcome]:
        """Reopen the file after a failed COMMIT, and find out whether it was durable."""
        before = self._head.position
        refusal: UnavailableError = storage_error(failed.error)
        if is_fatal(failed.error):
            # After a failed fsync the next may succeed although data is lost: write no more.
            self._failure = storage_error(failed.error)
        try:
            self._db.close()
            self._open()
        except (sqlite3.Error, LedgerError) as error:
            self._failure = StorageFailedError(
                f"cannot reopen the log, restart the server: {error}"
            )
            refusal = OutcomeUnknownError(_UNKNOWN)
        if self._head.position > before:
            refusal = OutcomeUnknownError(_UNKNOWN)
        return [_after(outcome, before, refusal) for outcome in failed.outcomes]

    def keep_checkpoint(self, size: int, note: str) -> str:
        """Store a signed checkpoint unless one of its size is stored. Return the stored one."""
        with self._refusing_errors(), transaction(self._db):
            return keep_checkpoint(self._db, size, note)

    def places(self, digests: Sequence[Digest]) -> dict[Digest, Place]:
        """Return the places of those of these contents that are packed."""
        with self._refusing_errors():
            return find_places(lambda *query: self._db.execute(*query).fetchall(), digests)

    def has_places(self, pack: int) -> bool:
        """Return whether a content has its place in a pack. Raises StorageFailedError."""
        with self._refusing_errors():
            return self._db.execute(_IN_PACK, (pack,)).fetchone() is not None

    def keep_places(self, places: Sequence[Place]) -> None:
        """Store the places of contents before any event names them. Raises StorageFailedError."""
        with self._refusing_errors(), transaction(self._db) as db:
            insert_places(db, places)

    @contextmanager
    def _refusing_errors(self) -> Iterator[None]:
        if self._failure is not None:
            raise self._failure
        self._file.check()
        try:
            yield
        except sqlite3.Error as error:
            self._give_up_group(error)
            raise storage_error(error) from error

    def head(self) -> Head:
        """Return the end of the log."""
        return self._head

    def close(self) -> None:
        """Close every connection. The last one copies the WAL into the file."""
        super().close()
        self._db.close()


class _CommitFailedError(Exception):
    """COMMIT failed; it is unknown whether it was durable."""

    def __init__(self, error: sqlite3.Error, outcomes: Sequence[Outcome]) -> None:
        super().__init__(str(error))
        self.error, self.outcomes = error, outcomes


def _after(outcome: Outcome, before: int, refusal: LedgerError) -> Outcome:
    """Return `refusal` for an outcome of the failed commit, and any other outcome unchanged."""
    failed = isinstance(outcome, Appended) and outcome.last > before
    return refusal if failed else outcome


def _stored(event: StoredEvent) -> tuple[Any, ...]:
    return event.originator_id, event.originator_version, event.topic, event.state


def _json(names: Sequence[Any]) -> str:
    return orjson.dumps(names).decode()
