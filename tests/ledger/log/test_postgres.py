"""The log in PostgreSQL: the contract of every log, then guards and lost connections."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from asset_ledger.ledger.content.places import key_of
from asset_ledger.ledger.content.store import StoredObject
from asset_ledger.ledger.domain.ledger import ContentCollected
from asset_ledger.ledger.errors import (
    BusyError,
    DataFolderError,
    StorageFailedError,
    VersionConflictError,
)
from asset_ledger.ledger.ids import Digest, digest_of
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, Command, EventLog
from tests.builders import asset_id
from tests.contracts.event_log import (
    EventLogContract,
    append,
    appended,
    creation,
    ignore,
    positions,
)
from tests.journeys.server import until
from tests.postgres import POSTGRES, Postgres

pytestmark = pytest.mark.slow  # each starts a real PostgreSQL

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
postgres_storage = pytest.importorskip("asset_ledger.ledger.storage.postgres")
postgres_log = pytest.importorskip("asset_ledger.ledger.log.postgres")

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid != 0"


@pytest.fixture(params=POSTGRES)
def postgres(request: pytest.FixtureRequest) -> Postgres:
    """Run on both versions."""
    server: Postgres = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as address:
        yield address


@pytest.fixture
def log(url: str) -> Iterator[EventLog]:
    with closing(postgres_log.PostgresLog(url, Codec())) as opened:
        yield opened


class TestPostgresLog(EventLogContract):
    @pytest.fixture
    def log(self, url: str) -> Iterator[EventLog]:
        with closing(postgres_log.PostgresLog(url, Codec())) as opened:
            yield opened


GUARDED = {
    "stored_events": "topic",
    "event_leaves": "hash",
    "event_tags": "value",
    "command_keys": "key",
    "merkle_tiles": "hashes",
    "checkpoints": "note",
}


def test_events_never_change(url: str, log: EventLog) -> None:
    appended(log, creation(1, job_id="j"))

    with psycopg.connect(url, autocommit=True) as db:
        for table, column in GUARDED.items():
            for change in (f"UPDATE {{}} SET {column} = {column}", "DELETE FROM {}", "TRUNCATE {}"):
                with pytest.raises(psycopg.Error, match="events never change"):
                    db.execute(change.format(f"ledger.{table}"))


def test_a_reopened_log_continues_after_its_last_event(url: str) -> None:
    for number in (1, 2):
        with closing(postgres_log.PostgresLog(url, Codec())) as opened:
            appended(opened, creation(number, job_id="j"))

    with closing(postgres_log.PostgresLog(url, Codec())) as opened:
        assert positions(opened) == [1, 2]


def test_a_log_is_opened_and_written_during_a_vacuum(url: str, log: EventLog) -> None:
    appended(log, creation(1))
    with psycopg.connect(url) as db:
        for table in (*GUARDED, "sessions"):
            db.execute(f"LOCK TABLE ledger.{table} IN SHARE UPDATE EXCLUSIVE MODE")

        with closing(postgres_log.PostgresLog(url, Codec())) as opened:
            appended(opened, creation(2))
        db.rollback()

    assert positions(log) == [1, 2]


def test_two_processes_that_append_in_turns_keep_one_order(url: str, log: EventLog) -> None:
    with closing(postgres_log.PostgresLog(url, Codec())) as other:
        for number in range(1, 7):
            (outcome,) = appended(log if number % 2 else other, creation(number, job_id="j"))
            assert outcome.first == number

    assert positions(log) == [1, 2, 3, 4, 5, 6]


def test_a_lost_connection_loses_no_event_and_records_none_twice(
    postgres: Postgres, url: str, log: EventLog
) -> None:
    name = url.removeprefix("postgresql:///").partition("?")[0]
    appended(log, creation(1))
    postgres.execute(END.format(name))

    (lost,) = append(log, creation(2))
    (second,) = append(log, creation(2))

    assert isinstance(lost, StorageFailedError)
    assert isinstance(second, Appended)
    assert positions(log) == [1, 2]


def test_a_log_that_waited_too_long_for_its_lock_writes_again(url: str) -> None:
    lock = f"advisory_lock({postgres_log.APPEND_LOCK})"
    with closing(postgres_log.PostgresLog(url, Codec())) as log:
        appended(log, creation(1))
        assert isinstance(append(log, creation(1))[0], VersionConflictError)
        log.db.execute("SET lock_timeout = '10ms'")
        with psycopg.connect(url, autocommit=True) as other:
            other.execute(f"SELECT pg_{lock}")
            for _ in range(9):  # often enough that psycopg prepares each statement
                assert isinstance(append(log, creation(2))[0], BusyError)
            other.execute(f"SELECT pg_{lock.replace('lock', 'unlock', 1)}")
        appended(log, creation(2))

        assert not log.look()
        assert positions(log) == [1, 2]


def test_a_log_writes_again_once_its_database_allows_it(
    postgres: Postgres, url: str, log: EventLog
) -> None:
    name = url.removeprefix("postgresql:///").partition("?")[0]
    appended(log, creation(1))
    for change in (
        f"ALTER DATABASE {name} SET default_transaction_read_only = on",
        END.format(name),
        f"ALTER DATABASE {name} RESET default_transaction_read_only",
    ):
        refused = [append(log, creation(2))[0] for _ in range(2)] if "RESET" in change else []
        assert all(isinstance(each, StorageFailedError) for each in refused), refused
        postgres.execute(change)

    appended(log, creation(2))

    assert positions(log) == [1, 2]


def test_settings_of_the_database_do_not_disturb_a_log(postgres: Postgres, url: str) -> None:
    name = url.removeprefix("postgresql:///").partition("?")[0]
    settings = {
        "default_transaction_isolation": ("'repeatable read'", "read committed"),
        "statement_timeout": ("'1s'", "0"),
        "idle_session_timeout": ("'1s'", "0"),
    }
    for setting, (disturbing, _) in settings.items():
        postgres.execute(f"ALTER DATABASE {name} SET {setting} = {disturbing}")

    with closing(postgres_log.PostgresLog(url, Codec())) as log:
        for setting, (_, expected) in settings.items():
            assert log.db.execute(f"SHOW {setting}").fetchone() == (expected,)


@pytest.mark.parametrize("with_event", [False, True])
def test_a_repair_whose_commit_was_lost_is_not_acknowledged(
    postgres: Postgres, url: str, monkeypatch: pytest.MonkeyPatch, with_event: bool
) -> None:
    name = url.removeprefix("postgresql:///").partition("?")[0]
    with closing(postgres_log.PostgresLog(url, Codec())) as log:
        appended(log, creation(1))
        commit = log.db.commit

        def commit_too_late(begun: int) -> None:
            monkeypatch.undo()
            postgres.execute(END.format(name))
            commit(begun)

        monkeypatch.setattr(log.db, "commit", commit_too_late)
        commands = [creation(2), Command(())] if with_event else [Command(())]
        outcomes = log.append(commands, ignore, {digest_of(b"repaired"): b"repaired"})

        assert all(isinstance(each, StorageFailedError) for each in outcomes), outcomes
        assert positions(log) == [1]


def collect(digest: Digest) -> Command:
    """Return the command of a collection that was planned after the first event."""
    return Command([collected_event(digest)], collects=1)


def collected_event(*digests: Digest) -> ContentCollected:
    return ContentCollected(
        originator_id=asset_id(9),
        originator_version=1,
        by="system",
        digests=digests,
        size=1,
        reason="deleted",
    )


WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
def test_content_that_another_server_collects_meanwhile_is_stored_again(
    url: str, log: EventLog, is_large: bool
) -> None:
    content = b"collected" * 10
    digest = digest_of(content)
    held, go_on = threading.Event(), threading.Event()

    def stored(number: int) -> tuple[Command, dict[Digest, bytes]]:
        """Return a command that needs the content, as a server sends it."""
        size = len(content)
        needing = creation(number, digest=digest, size=size)
        named = StoredObject(digest, f"s3://bucket/objects/{number}", size)
        return (replace(needing, objects=[named]), {}) if is_large else (needing, {digest: content})

    def hold(_: object) -> None:
        held.set()
        assert go_on.wait(60)

    with (
        closing(postgres_log.PostgresLog(url, Codec())) as writer,
        closing(postgres_log.PostgresLog(url, Codec())) as collector,
        psycopg.connect(url, autocommit=True) as watch,
        ThreadPoolExecutor() as threads,
    ):
        command, contents = stored(1)
        writer.append([command], ignore, contents)
        collecting = threads.submit(collector.append, [collect(digest)], hold)
        assert held.wait(60)  # it has the lock of the log
        command, contents = stored(2)
        writing = threads.submit(writer.append, [command], ignore, contents)
        until(lambda: watch.execute(WAITING).fetchone() == (1,), "the writer waits for the lock")
        go_on.set()
        outcomes = [*collecting.result(60), *writing.result(60)]

        assert [type(each) for each in outcomes] == [Appended, Appended]
        rows = watch.execute(f"SELECT * FROM ledger.{'objects' if is_large else 'contents'}")
        key = bytes.fromhex(digest.removeprefix("sha256:"))
        large = (key, "s3://bucket/objects/2", len(content))
        assert rows.fetchall() == [large if is_large else (key, content)]


ROW_WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"


def test_two_writers_of_a_content_that_is_collected_meanwhile_do_not_block_each_other(
    url: str,
) -> None:
    content = b"collected" * 10
    digest = digest_of(content)
    contents, size = {digest: content}, len(content)
    stages = [threading.Event() for _ in range(4)]

    def stop_at(first: int) -> Callable[[object], None]:
        def wait(_: object) -> None:
            stages[first].set()
            assert stages[first + 1].wait(60)

        return wait

    with ExitStack() as stack:
        first, second, collector = (
            stack.enter_context(closing(postgres_log.PostgresLog(url, Codec()))) for _ in range(3)
        )
        watch = stack.enter_context(psycopg.connect(url, autocommit=True))
        threads = stack.enter_context(ThreadPoolExecutor())

        def waiting(sql: str) -> None:
            until(lambda: watch.execute(sql).fetchone() == (1,), sql)

        def write(log: Any, number: int) -> Any:
            command = creation(number, digest=digest, size=size)
            return threads.submit(log.append, [command], ignore, contents)

        write(first, 1).result(60)
        collecting = threads.submit(collector.append, [collect(digest)], stop_at(0), (), stop_at(2))
        assert stages[0].wait(60)  # it has the lock of the log, and has deleted nothing
        one = write(first, 2)
        waiting(WAITING)
        stages[1].set()
        assert stages[2].wait(60)  # it has not committed
        other = write(second, 3)
        waiting(ROW_WAITS)
        stages[3].set()
        outcomes = [*collecting.result(60), *one.result(60), *other.result(60)]

        assert [type(each) for each in outcomes] == [Appended] * 3, outcomes
        assert watch.execute("SELECT bytes FROM ledger.contents").fetchall() == [(content,)]


WRITERS, ROUNDS = 4, 40


def test_groups_and_collections_of_the_same_contents_at_once_refuse_no_write(url: str) -> None:
    pool = {digest_of(content): content for content in (b"%d" % n * 9 for n in range(6))}
    numbers = count(1_000)

    def write(log: Any, seed: int) -> list[Any]:
        dice, outcomes = random.Random(seed), []
        for _ in range(ROUNDS):
            needed = dice.sample([*pool], 4)
            contents = {digest: pool[digest] for digest in needed}
            group = [creation(next(numbers), digest=each, size=9) for each in needed]
            outcomes += log.append(group, ignore, contents)
        return outcomes

    def collect_often(log: Any) -> list[Any]:
        outcomes = []
        for version in range(1, ROUNDS + 1):
            head = log.head().position
            event = replace(collected_event(*pool), originator_version=version)
            (outcome,) = log.append([Command([event], collects=head)], ignore)
            outcomes.append(outcome)
        return outcomes

    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        logs = [
            stack.enter_context(closing(postgres_log.PostgresLog(url, Codec())))
            for _ in range(WRITERS + 1)
        ]
        writing = [threads.submit(write, log, n) for n, log in enumerate(logs[1:])]
        collecting = threads.submit(collect_often, logs[0]).result(300)
        written = [each for thread in writing for each in thread.result(300)]
        present = {bytes(key) for (key,) in logs[0].db.execute("SELECT digest FROM contents")}
        collected = {bytes(key) for (key,) in logs[0].db.execute("SELECT digest FROM collected")}

    assert {type(each) for each in written} == {Appended}, written
    assert {type(each) for each in collecting} <= {Appended, VersionConflictError}
    assert present | collected == {*map(key_of, pool)}


def test_collection_is_refused_if_another_server_stored_the_content_meanwhile(
    log: EventLog,
) -> None:
    digest = digest_of(b"needed")
    appended(log, creation(1, digest=digest, size=6))
    appended(log, creation(2, digest=digest, size=6))

    (refused,) = append(log, collect(digest))

    assert isinstance(refused, VersionConflictError)


CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


def test_reads_of_many_threads_share_a_few_connections(url: str, log: EventLog) -> None:
    threads = 4 * postgres_storage.AT_ONCE
    start, opened = threading.Barrier(threads), closing(postgres_storage.PostgresReaders(url))

    def read(readers: Any) -> None:
        start.wait(60)
        readers.rows("SELECT pg_sleep(0.2)")  # all threads read at the same time

    with psycopg.connect(url, autocommit=True) as watch, opened as readers:
        before = watch.execute(CONNECTED).fetchone()[0]
        with ThreadPoolExecutor(threads) as executor:
            list(executor.map(read, [readers] * threads))

        assert watch.execute(CONNECTED).fetchone()[0] - before <= postgres_storage.AT_ONCE


def test_a_database_with_another_order_of_texts_is_refused(postgres: Postgres) -> None:
    postgres.execute("CREATE DATABASE other TEMPLATE template0 LOCALE 'C.UTF-8'")

    with pytest.raises(DataFolderError, match="lc-collate=C "):
        postgres_log.PostgresLog(postgres.url("other"), Codec())
    postgres.drop("other")
