"""Locks of a database that a server has while it works alone."""

import asyncio
from typing import Any

import pytest

from tests.journeys.server import PATIENCE
from tests.postgres import Postgres

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
postgres_locks = pytest.importorskip("asset_ledger.ledger.storage.postgres_locks")

pytestmark = pytest.mark.slow  # it starts a real PostgreSQL

STEPS = 12
"""Steps of the event loop after which a task is cancelled that leaves a lock."""


async def test_a_task_that_is_cancelled_while_it_leaves_a_lock_ends(postgres: Postgres) -> None:
    with postgres.database() as url:
        for step in range(STEPS):
            entered = asyncio.Event()
            working = asyncio.create_task(work(url, entered))
            await entered.wait()
            for _ in range(step):
                await asyncio.sleep(0)
            working.cancel()

            await asyncio.wait([working], timeout=PATIENCE)

            assert working.cancelled()


async def work(url: Any, entered: asyncio.Event) -> None:
    async with postgres_locks.trying_named(url, "work") as is_mine:
        assert is_mine
        entered.set()
    await asyncio.Event().wait()
