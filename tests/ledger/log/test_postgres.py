"""The log in PostgreSQL: the contract of every log, then guards and lost connections."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from asset_ledger.ledger.errors import DataFolderError, StorageFailedError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, EventLog
from tests.contracts.event_log import EventLogContract, append, appended, creation, positions
from tests.postgres import Postgres

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


def test_a_database_with_another_order_of_texts_is_refused(postgres: Postgres) -> None:
    postgres.execute("CREATE DATABASE other TEMPLATE template0 LOCALE 'C.UTF-8'")

    with pytest.raises(DataFolderError, match="LC_COLLATE 'C'"):
        postgres_log.PostgresLog(postgres.url("other"), Codec())
    postgres.drop("other")
