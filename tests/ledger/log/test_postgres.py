"""The log in PostgreSQL: the contract of every log, then guards and lost connections."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from asset_ledger.ledger.content.store import StoredObject
from asset_ledger.ledger.domain.ledger import ContentCollected
from asset_ledger.ledger.errors import (
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
from tests.postgres import Postgres

pytestmark = pytest.mark.slow  # each starts a real PostgreSQL

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
postgres_log = pytest.importorskip("asset_ledger.ledger.log.postgres")

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid != 0"


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


def collect(digest: Digest) -> Command:
    """Return the command of a collection that was planned after the first event."""
    event = ContentCollected(
        originator_id=asset_id(9),
        originator_version=1,
        by="system",
        digests=(digest,),
        size=1,
        reason="deleted",
    )
    return Command([event], collects=1)


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


def test_collection_is_refused_if_another_server_stored_the_content_meanwhile(
    log: EventLog,
) -> None:
    digest = digest_of(b"needed")
    appended(log, creation(1, digest=digest, size=6))
    appended(log, creation(2, digest=digest, size=6))

    (refused,) = append(log, collect(digest))

    assert isinstance(refused, VersionConflictError)


def test_a_database_with_another_order_of_texts_is_refused(postgres: Postgres) -> None:
    postgres.execute("CREATE DATABASE other TEMPLATE template0 LOCALE 'C.UTF-8'")

    with pytest.raises(DataFolderError, match="LC_COLLATE 'C'"):
        postgres_log.PostgresLog(postgres.url("other"), Codec())
    postgres.drop("other")
