"""The SQLite log: the contract of every log, then guards, damage, a full disk, failed commits."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.errors import (
    CorruptLogError,
    DiskFullError,
    OutcomeUnknownError,
    StorageFailedError,
)
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, EventLog
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.merkle.tiles import WIDTH, Tiles
from asset_ledger.ledger.merkle.tree import Tree, leaf_hash, leaf_of, root
from tests.builders import asset_id, at, command, command_key, created, deleted
from tests.contracts.event_log import EventLogContract, append, appended, creation, positions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    log = SqliteLog(path, Codec())
    yield log
    log.close()


class TestSqliteLog(EventLogContract):
    @pytest.fixture
    def log(self, path: Path) -> Iterator[EventLog]:
        log = SqliteLog(path, Codec())
        yield log
        log.close()


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_a_reopened_log_continues_after_its_last_event(path: Path) -> None:
    log = SqliteLog(path, Codec())
    appended(log, creation(1, job_id="j"))
    log.close()

    reopened = SqliteLog(path, Codec())
    appended(reopened, creation(2, job_id="j"))

    assert positions(reopened) == [1, 2]
    reopened.close()
    assert rows(path, "SELECT * FROM job_heads") == [("1", "j", 2, 1, 0)]


def test_the_recorder_of_eventsourcing_reads_the_file(log: SqliteLog, path: Path) -> None:
    appended(log, creation(1), creation(2))
    log.close()

    recorder = SQLiteApplicationRecorder(SQLiteDatastore(str(path), originator_id_type="text"))
    recorder.create_table()
    notifications = recorder.select_notifications(start=1, limit=10)
    recorder.datastore.close()

    assert [n.id for n in notifications] == [1, 2]
    assert [n.originator_id for n in notifications] == [asset_id(1), asset_id(2)]


GUARDED = ("stored_events", "event_leaves", "merkle_tiles", "checkpoints")


@pytest.mark.parametrize("recursive_triggers", ["ON", "OFF"])
@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE stored_events SET state = x'00'",
        "UPDATE stored_events SET originator_version = 9",
        "DELETE FROM stored_events",
        """REPLACE INTO stored_events
        SELECT originator_id, originator_version, topic, x'00' FROM stored_events""",
        """REPLACE INTO stored_events(rowid, originator_id, originator_version, topic, state)
        VALUES (1, 'x', 1, 't', x'00')""",
        """INSERT INTO stored_events SELECT * FROM stored_events WHERE true
        ON CONFLICT DO UPDATE SET state = x'00'""",
        "UPDATE event_leaves SET hash = x'00'",
        "DELETE FROM event_leaves",
        "UPDATE event_tags SET value = 'z'",
        "DELETE FROM event_tags",
        "UPDATE command_keys SET fingerprint = 'z'",
        "DELETE FROM command_keys",
        "UPDATE merkle_tiles SET hashes = x'00'",
        "DELETE FROM merkle_tiles",
        "REPLACE INTO merkle_tiles VALUES (1, 0, x'00')",
        "REPLACE INTO merkle_tiles(rowid, level, idx, hashes) VALUES (1, 5, 5, x'00')",
        "UPDATE checkpoints SET note = 'z'",
        "DELETE FROM checkpoints",
        "REPLACE INTO checkpoints VALUES (1, 'z')",
    ],
)
def test_the_file_refuses_update_delete_and_replace(
    path: Path, attack: str, recursive_triggers: str
) -> None:
    log = SqliteLog(path, Codec())
    appended(log, command(created(originator_id=asset_id(1), job_id="j"), key=command_key()))
    log.keep_checkpoint(1, "signed")
    log.close()
    db = sqlite3.connect(path)
    with db:
        db.execute("INSERT INTO merkle_tiles VALUES (1, 0, x'ff')")
    before = [rows(path, f"SELECT * FROM {table}") for table in GUARDED]
    db.execute(f"PRAGMA recursive_triggers={recursive_triggers}")

    with pytest.raises(sqlite3.IntegrityError, match="events never change"):
        db.execute(attack)

    db.close()
    assert [rows(path, f"SELECT * FROM {table}") for table in GUARDED] == before


def test_recorded_at_does_not_decrease_when_the_clock_jumps_back(path: Path) -> None:
    clock = iter([at(100), at(50), at(150)])
    log = SqliteLog(path, Codec(), clock=lambda: next(clock))

    for number in (1, 2, 3):
        appended(log, creation(number))

    times = [Codec().decode(stored).event.recorded_at for stored in log.read(0, 10)]
    assert times == [at(100), at(100), at(150)]
    log.close()


def test_recorded_at_does_not_decrease_when_the_clock_jumps_back_over_a_restart(path: Path) -> None:
    for when in (at(100), at(50)):
        log = SqliteLog(path, Codec(), clock=lambda when=when: when)  # type: ignore[misc]
        appended(log, creation(int((when - at(0)).total_seconds())))
        log.close()

    assert rows(path, "SELECT DISTINCT state ->> '$.recorded_at' FROM stored_events") == [
        (iso(at(100)),)
    ]


def without_guards(path: Path, *attacks: str) -> None:
    db = sqlite3.connect(path)
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    for attack in attacks:
        db.execute(attack)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE stored_events SET state = '{}' WHERE rowid = 2",
        "DELETE FROM stored_events WHERE rowid = 2",
        "DELETE FROM event_leaves WHERE position = 2",
    ],
)
def test_a_log_with_a_changed_end_cannot_be_opened(path: Path, attack: str) -> None:
    log = SqliteLog(path, Codec())
    appended(log, creation(1), creation(2))
    log.close()
    without_guards(path, attack)

    with pytest.raises(CorruptLogError, match="restore the data folder from a backup"):
        SqliteLog(path, Codec())


@pytest.mark.parametrize("junk", [b"this is no database, but it is long enough " * 50, b"x" * 4096])
def test_a_file_without_a_database_cannot_be_opened(path: Path, junk: bytes) -> None:
    path.write_bytes(junk)

    with pytest.raises(CorruptLogError, match="restore"):
        SqliteLog(path, Codec())
    assert path.read_bytes() == junk


class Flaky(sqlite3.Connection):
    """A connection whose COMMIT, or INSERT of tags, fails once on demand."""

    before: sqlite3.Error | None = None
    after: sqlite3.Error | None = None
    insert: sqlite3.Error | None = None

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        if Flaky.insert and "INTO event_tags" in sql:
            raise Flaky.take("insert")
        if sql != "COMMIT":
            return super().execute(sql, *parameters)  # type: ignore[arg-type]
        if Flaky.before:
            raise Flaky.take("before")
        cursor = super().execute(sql)
        if Flaky.after:
            raise Flaky.take("after")
        return cursor

    @classmethod
    def pending(cls, when: str) -> bool:
        return getattr(cls, when) is not None

    @classmethod
    def take(cls, when: str) -> sqlite3.Error:
        error: sqlite3.Error = getattr(cls, when)
        setattr(cls, when, None)
        return error


def failure(code: int, text: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


FULL = (sqlite3.SQLITE_FULL, "database or disk is full")
IOERR = (sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error")


@pytest.fixture
def flaky(path: Path) -> Iterator[SqliteLog]:
    log = SqliteLog(path, Codec(), factory=Flaky)
    appended(log, creation(100))
    yield log
    Flaky.before = Flaky.after = Flaky.insert = None
    log.close()


def test_a_commit_without_disk_space_records_nothing(flaky: SqliteLog) -> None:
    Flaky.before = failure(*FULL)

    outcomes = append(flaky, creation(1), creation(2))

    assert [type(outcome) for outcome in outcomes] == [DiskFullError, DiskFullError]
    assert positions(flaky) == [1]


def test_append_succeeds_after_a_commit_without_disk_space(flaky: SqliteLog) -> None:
    Flaky.before = failure(*FULL)
    append(flaky, creation(1))

    (outcome,) = appended(flaky, creation(2))

    assert outcome.first == 2
    assert positions(flaky) == [1, 2]


def test_a_commit_failing_after_it_was_durable_has_an_unknown_outcome(flaky: SqliteLog) -> None:
    Flaky.after = failure(*FULL)
    keyed = command(created(originator_id=asset_id(1)), key=command_key())

    outcomes = append(flaky, keyed, creation(100))

    assert isinstance(outcomes[0], OutcomeUnknownError)
    assert not isinstance(outcomes[1], OutcomeUnknownError)  # refused before the commit


def test_repeating_a_key_after_an_unknown_outcome_returns_the_outcome(flaky: SqliteLog) -> None:
    Flaky.after = failure(*FULL)
    keyed = command(created(originator_id=asset_id(1)), key=command_key())
    append(flaky, keyed)

    (outcome,) = appended(flaky, command(created(originator_id=asset_id(2)), key=command_key()))

    assert (outcome.first, outcome.replayed) == (2, True)
    assert positions(flaky) == [1, 2]


@pytest.mark.parametrize("when", ["before", "after"])
def test_append_refuses_everything_after_a_failed_fsync_until_a_restart(
    flaky: SqliteLog, path: Path, when: str
) -> None:
    setattr(Flaky, when, failure(*IOERR))
    append(flaky, creation(1))

    (outcome,) = append(flaky, creation(2))

    assert isinstance(outcome, StorageFailedError)
    assert "read-only until a restart" in str(outcome)
    assert asset_id(2) not in [stored.originator_id for stored in flaky.read(0, 10)]
    restarted = SqliteLog(path, Codec())
    assert isinstance(append(restarted, creation(3))[0], Appended)
    restarted.close()


def test_append_retries_the_commands_of_a_failed_group_one_by_one(flaky: SqliteLog) -> None:
    Flaky.insert = failure(sqlite3.SQLITE_ERROR, "a temporary error")

    outcomes = appended(flaky, creation(1, job_id="j"), creation(2, job_id="j"))

    assert not Flaky.pending("insert")
    assert [outcome.first for outcome in outcomes] == [2, 3]
    assert positions(flaky) == [1, 2, 3]


def test_append_returns_the_error_of_a_failed_single_command(flaky: SqliteLog) -> None:
    Flaky.insert = failure(*FULL)

    (outcome,) = append(flaky, creation(1, job_id="j"))

    assert isinstance(outcome, DiskFullError)
    assert positions(flaky) == [1]


def test_append_rolls_back_after_an_unexpected_exception(
    flaky: SqliteLog,
) -> None:
    Flaky.insert = RuntimeError("not SQLite's")  # type: ignore[assignment]

    with pytest.raises(RuntimeError):
        append(flaky, creation(1, job_id="j"))

    assert [outcome.first for outcome in appended(flaky, creation(2))] == [2]
    assert [stored.originator_id for stored in flaky.read(1, 9)] == [asset_id(2)]


def test_a_full_database_refuses_events_and_recovers(path: Path) -> None:
    limits: list[sqlite3.Connection] = []

    class Limited(sqlite3.Connection):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[arg-type]
            limits.append(self)

    log = SqliteLog(path, Codec(), factory=Limited)
    appended(log, creation(1))
    (pages,) = limits[-1].execute("PRAGMA page_count").fetchone()
    limits[-1].execute(f"PRAGMA max_page_count={pages}")

    refused = [append(log, creation(n, private={"name": "x" * 4000}))[0] for n in range(2, 12)]
    recorded = positions(log)
    limits[-1].execute("PRAGMA max_page_count=100000")
    (resumed,) = appended(log, creation(99))

    assert any(isinstance(outcome, DiskFullError) for outcome in refused)
    assert len(recorded) == 1 + sum(isinstance(outcome, Appended) for outcome in refused)
    assert resumed.first == recorded[-1] + 1
    log.close()


def test_a_deletion_is_a_further_event(log: SqliteLog) -> None:
    appended(log, creation(1))
    appended(log, command(deleted(originator_id=asset_id(1))))

    assert [stored.topic for stored in log.read(0, 10)] == ["asset.created", "asset.deleted"]


def test_two_logs_give_equal_events_equal_leaf_hashes(tmp_path: Path) -> None:
    def leaves(name: str, clock: datetime) -> list[bytes | None]:
        log = SqliteLog(tmp_path / name, Codec(), clock=lambda: clock)
        appended(log, creation(1), creation(2))
        found = [log.leaf_hash(1), log.leaf_hash(2)]
        log.close()
        return found

    assert leaves("a.db", at(1)) == leaves("b.db", at(1)) != leaves("c.db", at(2))


def make_log_without_tiles(path: Path, events: int) -> None:
    """Make a log like an earlier release: events and leaf hashes, without the table of tiles."""
    log = SqliteLog(path, Codec())
    appended(log, creation(1))
    (first,) = log.read(0, 1)
    log.close()
    without_guards(
        path,
        f"""WITH RECURSIVE n(v) AS (VALUES (2) UNION ALL SELECT v + 1 FROM n WHERE v < {events})
        INSERT INTO stored_events SELECT printf('%032x', v), 1, topic, state
        FROM n, stored_events WHERE stored_events.rowid = 1""",
        "DROP TABLE merkle_tiles",
    )
    leaves = (
        (n, leaf_hash(leaf_of(asset_id(n), 1, first.topic, first.state)))
        for n in range(2, events + 1)
    )
    db = sqlite3.connect(path)
    with db:
        db.executemany("INSERT INTO event_leaves VALUES (?, ?)", leaves)
    db.close()


def test_opening_a_log_without_tiles_adds_them(path: Path) -> None:
    make_log_without_tiles(path, 2 * WIDTH**2 + 5)
    SqliteLog(path, Codec()).close()
    whole = rows(path, "SELECT * FROM merkle_tiles")
    without_guards(path, "DELETE FROM merkle_tiles WHERE idx = 1")  # as if killed half-way

    log = SqliteLog(path, Codec())

    assert rows(path, "SELECT * FROM merkle_tiles") == whole

    tree = Tree(log.leaf_hashes(0, 2 * WIDTH**2 + 5))
    stored = [log.full_tile(1, index) for index in range(3)]
    expected = [
        b"".join(tree.node(8, WIDTH * index + n) for n in range(WIDTH)) for index in range(2)
    ]
    assert stored == [*expected, None]
    assert Tiles(log).root(len(tree)) == root(len(tree), tree.node)
    log.close()


def test_a_failed_commit_stores_no_tile(path: Path) -> None:
    make_log_without_tiles(path, WIDTH**2 - 1)
    log = SqliteLog(path, Codec(), factory=Flaky)
    Flaky.before = failure(*FULL)

    assert isinstance(append(log, creation(WIDTH**2))[0], DiskFullError)
    assert log.full_tile(1, 0) is None
    appended(log, creation(WIDTH**2))

    assert log.full_tile(1, 0) is not None
    log.close()


def test_append_fails_if_leaf_hashes_of_a_new_tile_are_missing(path: Path) -> None:
    make_log_without_tiles(path, WIDTH**2 - 1)
    without_guards(path, "DELETE FROM event_leaves WHERE position = 7")
    log = SqliteLog(path, Codec())

    outcomes = append(log, creation(WIDTH**2), creation(WIDTH**2 + 1))

    assert [type(outcome) for outcome in outcomes] == [StorageFailedError] * 2
    assert "the log lacks hashes of its tile 0/000" in str(outcomes[0])
    assert log.head().position == WIDTH**2 - 1
    log.close()


@pytest.mark.parametrize("events", [2, 1])
def test_a_log_shorter_than_its_checkpoint_cannot_be_opened(path: Path, events: int) -> None:
    log = SqliteLog(path, Codec())
    appended(log, creation(1), creation(2), creation(3))
    log.keep_checkpoint(3, "signed")
    log.close()
    without_guards(
        path,
        f"DELETE FROM stored_events WHERE rowid > {events}",
        f"DELETE FROM event_leaves WHERE position > {events}",
    )

    with pytest.raises(CorruptLogError, match=f"has {events} events and had 3: its end is missing"):
        SqliteLog(path, Codec())


@pytest.mark.parametrize("when", ["before", "after"])
def test_keep_checkpoint_raises_when_its_commit_fails(flaky: SqliteLog, when: str) -> None:
    setattr(Flaky, when, failure(*FULL))
    with pytest.raises(DiskFullError):
        flaky.keep_checkpoint(1, "signed")

    stored = flaky.keep_checkpoint(1, "signed again")

    assert stored == ("signed again" if when == "before" else "signed")


def test_keep_checkpoint_raises_after_a_failed_fsync(flaky: SqliteLog) -> None:
    Flaky.before = failure(*IOERR)
    append(flaky, creation(1))

    with pytest.raises(StorageFailedError, match="read-only until a restart"):
        flaky.keep_checkpoint(1, "signed")
