"""Ledgers of several sizes in PostgreSQL: their pages, their bytes, rebuilds and group commits.

Promise: pages of each size, of their statements, and of the first size are read in turns.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import psycopg

from asset_ledger.api.backend import open_backend
from asset_ledger.api.database.engine import DatabaseEngine
from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.second_rebuild_worker import start_second_for
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.folder_lock import hold_build_lock
from asset_ledger.ledger.storage.postgres import LOG, adapt, settings
from asset_ledger.ledger.storage.postgres_readers import AsyncPostgresReaders
from asset_ledger.ledger.storage.postgres_sql import translate
from asset_ledger.projections.rebuild.build import rebuild
from asset_ledger.projections.runtime.table_schemas import TableSchemas
from benchmarks.durable import Scale
from benchmarks.fill import command, names, record
from benchmarks.machine import BenchmarkError
from benchmarks.pairs import Pair, Turn, compared, timed
from benchmarks.postgres_groups import commit, committing
from benchmarks.postgres_making import by_events, by_sql, compare, empty_table
from benchmarks.rows import Row
from tests.postgres import Postgres

READERS: Final = 4
A_COMMIT: Final = 2_000
GROUP: Final = 8
BYTES: Final = """SELECT nspname = 'ledger', sum(pg_total_relation_size(c.oid))
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND nspname ~ '^(ledger|g[0-9]+.*)$' GROUP BY 1 ORDER BY 1"""

Read = Callable[[int], Awaitable[object]]
"""Reads the page of the n-th job."""


class Filled(NamedTuple):
    """A ledger of so many assets, and the time that all its tables took."""

    url: str
    folder: Path
    assets: int
    tables: Turn


def rows(scale: Scale) -> Iterator[Row]:
    """Measure each size, also against the first one."""
    with filled(scale.server, scale.scratch, scale.sizes[0]) as few:
        with opened(few) as (store, feed):
            compare(store, feed)
        for size in scale.sizes:
            with filled(scale.server, scale.scratch, size) as ledger:
                yield from _of_size(scale, ledger, few)


def _of_size(scale: Scale, ledger: Filled, few: Filled) -> Iterator[Row]:
    yield from asyncio.run(_pages(scale, ledger, few))
    yield _bytes(ledger)
    yield from _rebuilds(scale, ledger)
    yield _commits(scale, ledger)


@contextmanager
def filled(server: Postgres, scratch: Path, assets: int) -> Iterator[Filled]:
    """Record so many assets, and make their tables."""
    with server.database() as url, tempfile.TemporaryDirectory(dir=scratch) as place:
        folder = Path(place) / "data"
        with DatabaseEngine(url, folder).writing() as log:
            for first in range(0, assets, A_COMMIT):
                record(log, [command(n) for n in range(first, min(first + A_COMMIT, assets))])
        made = Filled(url, folder, assets, Turn(0, 0, 0))
        with opened(made) as (store, feed), hold_build_lock(folder) as lock:
            second = start_second_for(DatabaseEngine(url, folder), lock)
            tables = timed(lambda: rebuild(store, feed, start_second=second).position)
        yield made._replace(tables=tables)


@contextmanager
def opened(ledger: Filled) -> Iterator[tuple[TableSchemas, Feed]]:
    """Yield the tables of a ledger, and its events."""
    log, codec = DatabaseEngine(ledger.url, ledger.folder).reader(), Codec()
    with closing(log), closing(TableSchemas(ledger.url)) as store:
        yield store, Feed.of_log(log, codec)


async def _pages(scale: Scale, ledger: Filled, few: Filled) -> list[Row]:
    """Compare pages of 50 of a job with their ready statements, and with those of few assets."""
    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(_product(ledger))
        page_of_few = await stack.enter_async_context(_product(few))
        ready = await stack.enter_async_context(_statements(ledger, page))
        turns = [
            [await _during(read, scale.seconds) for read in (ready, page, page_of_few)]
            for _ in range(scale.rounds)
        ]
    first = f"{few.assets:,} assets"
    over_floor = [Pair(product, floor) for floor, product, _ in turns]
    over_few = [Pair(product, other) for _, product, other in turns]
    at = ledger.assets
    return [
        compared("pages of 50 over their ready statements", over_floor, 0.8, "pages/s", at=at),
        compared(
            f"pages of 50 over those of {first}", over_few, 0.8, "pages/s", floor=first, at=at
        ),
    ]


@asynccontextmanager
async def _product(ledger: Filled) -> AsyncIterator[Read]:
    jobs = names("job", ledger.assets)
    async with open_backend(Settings(data_dir=ledger.folder, database_url=ledger.url)) as backend:
        query = backend.projections.assets.page
        yield lambda n: query("1", {"job_id": [jobs[n % len(jobs)]]}, page_size=50)


@asynccontextmanager
async def _statements(ledger: Filled, page: Read) -> AsyncIterator[Read]:
    """Yield what sends the statements of the pages by psycopg."""
    ready = await _sent_by(page, len(names("job", ledger.assets)))
    connections = [await _connected(ledger.url) for _ in range(READERS)]
    free = [*connections]

    async def send(n: int) -> None:
        db = free.pop()
        sql, values = ready[n % len(ready)]
        await (await db.execute(sql, values, binary=True)).fetchall()
        free.append(db)

    yield send
    for each in connections:
        await each.close()


async def _sent_by(page: Read, number: int) -> list[tuple[bytes, Sequence[Any]]]:
    found: list[tuple[bytes, Sequence[Any]]] = []
    send = AsyncPostgresReaders.rows

    async def noted(
        self: AsyncPostgresReaders, sql: str, values: Sequence[Any] = (), brief: bool = False
    ) -> Any:
        found.append((translate(sql), values))
        return await send(self, sql, values, brief)

    with patch.object(AsyncPostgresReaders, "rows", noted):
        for n in range(number):
            await page(n)
    return found


async def _connected(url: str) -> "psycopg.AsyncConnection[Any]":
    connect = psycopg.AsyncConnection.connect
    db = await connect(url, autocommit=True, cursor_factory=psycopg.AsyncRawCursor)
    adapt(db.adapters)
    await db.execute(settings(("g1", LOG), read_only=True).encode())
    return db


async def _during(read: Read, seconds: float) -> Turn:
    """Read again and again in four tasks."""
    start, busy, numbers = time.perf_counter(), time.process_time(), count()

    async def one() -> None:
        while time.perf_counter() - start < seconds:
            await read(next(numbers))

    await asyncio.gather(*(one() for _ in range(READERS)))
    return Turn(time.perf_counter() - start, time.process_time() - busy, next(numbers))


def _bytes(ledger: Filled) -> Row:
    """Return the bytes that an event takes, in the log and in all tables."""
    with psycopg.connect(ledger.url) as db:
        tables, log = (int(size) / ledger.assets for _, size in db.execute(BYTES).fetchall())
    beside = {"log": [log], "tables": [tables]}
    return Row(
        "bytes of an event", [log + tables], None, unit="bytes", at=ledger.assets, beside=beside
    )


def _rebuilds(scale: Scale, ledger: Filled) -> list[Row]:
    """Compare the table of assets by its projection, and all tables, with one SQL statement."""
    pairs = list[Pair]()
    with opened(ledger) as (store, feed):
        for _ in range(scale.rounds):
            with empty_table(store) as product, empty_table(store) as floor:
                made = Pair(timed(lambda: by_events(product, feed)), timed(lambda: by_sql(floor)))
            if made.floor.units != ledger.assets:
                raise BenchmarkError("the floor has not made every row")
            pairs.append(made)
    whole = [Pair(ledger.tables, floor) for _, floor in pairs]
    what, at = "over one SQL statement for the assets", ledger.assets
    return [
        compared(f"rebuild of the assets {what}", pairs, 3, "events/s", most=True, at=at),
        compared(f"rebuild of all tables {what}", whole, 3, "events/s", most=True, at=at),
    ]


def _commits(scale: Scale, ledger: Filled) -> Row:
    """Measure group commits that add to the ledger."""
    numbers, groups = count(ledger.assets), max(20, scale.events // GROUP)
    with committing(ledger.url, ledger.folder) as group_commit:
        turns = [
            timed(lambda: commit(group_commit, numbers, groups, GROUP)) for _ in range(scale.rounds)
        ]
    rates = [turn.rate for turn in turns]
    beside = {"us of CPU": [turn.cpu_us for turn in turns]}
    return Row(
        f"group commits of {GROUP}", rates, None, unit="events/s", at=ledger.assets, beside=beside
    )
