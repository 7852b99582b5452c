"""The log in PostgreSQL keeps the promises of every log, and its events never change."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import EventLog
from tests.contracts.event_log import EventLogContract
from tests.postgres import Postgres

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as address:
        yield address


class TestPostgresLog(EventLogContract):
    @pytest.fixture
    def log(self, url: str) -> Iterator[EventLog]:
        from asset_ledger.ledger.log.postgres import PostgresLog  # noqa: PLC0415 - an extra

        with closing(PostgresLog(url, Codec())) as opened:
            yield opened
