"""Reads of PostgreSQL on the event loop: a cancelled one leaves nothing behind."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from asset_ledger.ledger.errors import StorageFailedError
from tests.journeys.server import PATIENCE
from tests.postgres import Postgres

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
postgres_readers = pytest.importorskip("asset_ledger.ledger.storage.postgres_readers")
postgres_waits = pytest.importorskip("asset_ledger.ledger.storage.postgres_waits")

pytestmark = pytest.mark.slow  # it starts a real PostgreSQL

STEPS = 30
"""Steps of the event loop at which a read is cancelled: it has begun a transaction by then."""


@pytest.fixture
def writer(postgres: Postgres) -> Iterator[Any]:
    """A connection that commits to `numbers`."""
    with postgres.database() as url, psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE TABLE numbers (n bigint)")
        yield db


async def test_reads_see_new_rows_after_a_read_was_cancelled_at_its_begin(
    writer: Any, postgres: Postgres
) -> None:
    url = postgres.url(writer.info.dbname)
    readers = postgres_readers.AsyncPostgresReaders(url, ("public",))
    await readers.rows("SELECT 1")

    for step in range(STEPS):
        await cancelled_after(step, asyncio.create_task(begun(readers)))
        writer.execute("INSERT INTO numbers VALUES (1)")
        assert await readers.rows("SELECT count(*) FROM numbers") == [(step + 1,)]

    await readers.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test a server as soon as it has not answered for 0.1 seconds."""
    monkeypatch.setattr(postgres_waits, "SILENT", 0.0)
    monkeypatch.setattr(postgres_waits, "ANSWERING", 1.0)


@pytest.mark.usefixtures("impatient")
async def test_a_read_takes_longer_than_its_server_has_to_answer_a_test(
    writer: Any, postgres: Postgres
) -> None:
    readers = postgres_readers.AsyncPostgresReaders(postgres.url(writer.info.dbname), ("public",))
    assert await readers.rows("SELECT 1 FROM pg_sleep(2)") == [(1,)]
    await readers.close()


@pytest.mark.usefixtures("impatient")
async def test_a_read_fails_when_its_server_stands_still(writer: Any, postgres: Postgres) -> None:
    url = f"{postgres.url(writer.info.dbname)}&connect_timeout=2"
    readers = postgres_readers.AsyncPostgresReaders(url, ("public",))
    await readers.rows("SELECT 1")
    with postgres.standing_still(), pytest.raises(StorageFailedError):
        async with asyncio.timeout(PATIENCE):
            await readers.rows("SELECT 1")
    assert await answered(readers) == [(1,)]
    await readers.close()


async def answered(readers: Any) -> Any:
    """Return the rows of a read that is tried until the server is connected to again."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(StorageFailedError):
                return await readers.rows("SELECT 1")
            await asyncio.sleep(0)


async def begun(readers: Any) -> None:
    async with readers.snapshot():
        pass


async def cancelled_after(steps: int, task: "asyncio.Task[None]") -> None:
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
