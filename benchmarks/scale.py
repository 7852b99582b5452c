"""A ledger in PostgreSQL against the same SQL by psycopg alone, in turns on the same machine.

Promise: PostgreSQL waits for its disk (fsync), and a ratio is one of neighbouring runs.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import click
import psycopg
from rich.console import Console
from rich.table import Table

from asset_ledger.api.backend import open_backend
from asset_ledger.api.database.engine import DatabaseEngine
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commit.group_commit import GroupCommit
from asset_ledger.ledger.commit.requests import CommandRequest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.postgres import LOG, adapt, settings
from asset_ledger.ledger.storage.postgres_readers import AsyncPostgresReaders
from asset_ledger.ledger.storage.postgres_sql import translate
from asset_ledger.projections.runtime.bulk import fill_new
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.table_schemas import TableSchemas
from asset_ledger.projections.tables.assets import Assets
from benchmarks.fill import command, names, record
from benchmarks.load import uploads
from benchmarks.machine import BenchmarkError, machine
from benchmarks.recorded_sql import Step, recording, replay
from benchmarks.servers import product_command, serving, stat_of
from tests.journeys.processes import children_of
from tests.postgres import Postgres, installed

BARS: Final = {1: 0.8, 8: 0.75, 64: 0.6}
READERS: Final = 4
DURABLE: Final = "-c fsync=on -c shared_buffers=512MB -c max_wal_size=4GB"
FLOOR: Final = """INSERT INTO assets (seq, id, user_id, workflow_id, node_id, job_id, parent_id,
        name, content_type, size, digest, metadata, tags, derived_from, duration, version, position,
        created_at, updated_at, recorded_at, json)
    SELECT notification_id, replace(originator_id::text, '-', ''), s ->> 'user_id',
        s ->> 'workflow_id', s ->> 'node_id', s ->> 'job_id', s ->> 'parent_id',
        s #>> '{private,name}', s ->> 'content_type', (s ->> 'size')::bigint, s ->> 'digest',
        s #>> '{private,metadata}', coalesce(s #>> '{private,tags}', '[]'),
        coalesce(s ->> 'derived_from', '[]'), (s #>> '{private,duration}')::double precision,
        originator_version, notification_id, s ->> 'recorded_at', s ->> 'recorded_at',
        s ->> 'recorded_at',
        json_build_object('id', replace(originator_id::text, '-', ''), 'user_id', s ->> 'user_id',
            'workflow_id', s ->> 'workflow_id',
            'parent_id', coalesce(s ->> 'parent_id', s ->> 'user_id'),
            'name', s #>> '{private,name}', 'content_type', s ->> 'content_type',
            'size', (s ->> 'size')::bigint, 'metadata', s #> '{private,metadata}',
            'created_at', s ->> 'recorded_at', 'get_url',
            '/api/assets/' || replace(originator_id::text, '-', '') || '/content',
            'thumb_url', NULL, 'duration', s #> '{private,duration}', 'node_id', s ->> 'node_id',
            'job_id', s ->> 'job_id', 'etag', 'v' || originator_version, 'digest', s ->> 'digest',
            'version', originator_version, 'position', notification_id,
            'updated_at', s ->> 'recorded_at', 'tags', coalesce(s #> '{private,tags}', '[]'),
            'derived_from', coalesce(s -> 'derived_from', '[]'))::text
    FROM (SELECT *, convert_from(state, 'UTF8')::json AS s FROM ledger.stored_events
        WHERE topic = 'asset.created') AS made ORDER BY 1"""


class Turn(NamedTuple):
    """Wall and processor time in s of this process, for so many units of work."""

    seconds: float
    cpu_seconds: float
    units: int

    @property
    def rate(self) -> float:
        return self.units / self.seconds


def timed(work: Callable[[], int]) -> Turn:
    start, busy = time.perf_counter(), time.process_time()
    units = work()
    return Turn(time.perf_counter() - start, time.process_time() - busy, units)


class Pair(NamedTuple):
    """Neighbouring turns of the product and of the floor."""

    product: Turn
    floor: Turn


def row_of(name: str, pairs: Sequence[Pair], bar: str, unit: str) -> tuple[str, ...]:
    ratios = sorted(pair.product.rate / pair.floor.rate for pair in pairs)
    cpu = median(p.cpu_seconds / p.units / (f.cpu_seconds / f.units) for p, f in pairs)
    rates = (median(pair[side].rate for pair in pairs) for side in (0, 1))
    product, floor = (f"{rate:,.0f} {unit}" for rate in rates)
    shown = f"{median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    return name, product, floor, shown, f"{cpu:.2f}", bar


@contextmanager
def committing(url: str, folder: Path) -> Iterator[GroupCommit]:
    folder.mkdir(parents=True, exist_ok=True)
    with DatabaseEngine(url, folder).open(None) as group_commit:
        yield group_commit


def commit(group_commit: GroupCommit, numbers: Iterator[int], groups: int, size: int) -> int:
    """Commit groups of so many events, with their rows."""
    for _ in range(groups):
        requests = [CommandRequest(n, command(n)) for n in (next(numbers) for _ in range(size))]
        for _, answer in group_commit.run(requests).answers:
            if isinstance(answer, Exception):
                raise answer
    return groups * size


def group_commits(server: Postgres, scratch: Path, rounds: int, events: int) -> Table:
    """Compare group commits with tables: the product, and the statements that it sends."""
    grid = Table("events a group", "product", "floor", "ratio", "CPU", "bar", title="Group commit")
    for size, bar in BARS.items():
        pairs = [_pair(server, scratch, size, max(20, events // size)) for _ in range(rounds)]
        grid.add_row(*row_of(str(size), pairs, str(bar), "events/s"))
    return grid


def _pair(server: Postgres, scratch: Path, size: int, groups: int) -> Pair:
    with (
        server.database() as noted,
        server.database() as empty,
        server.database() as used,
        tempfile.TemporaryDirectory(dir=scratch) as place,
    ):
        steps = _recorded(noted, Path(place) / "noted", size, groups)
        with committing(empty, Path(place) / "empty"):
            pass  # makes the tables
        with committing(used, Path(place) / "used") as group_commit:
            numbers = count(1)
            commit(group_commit, numbers, 5, size)
            product = timed(lambda: commit(group_commit, numbers, groups, size))
        with psycopg.connect(empty, autocommit=True, cursor_factory=psycopg.RawCursor) as db:
            db.execute(settings(("g1", LOG), read_only=False, is_log=True).encode())
            replay(db, steps[0], 0)
            floor = timed(lambda: replay(db, steps[1], groups * size))
    return Pair(product, floor)


def _recorded(url: str, folder: Path, size: int, groups: int) -> tuple[list[Step], list[Step]]:
    """Return the steps of five groups, and of the groups after them."""
    with recording() as steps, committing(url, folder) as group_commit:
        numbers = count(1)
        before = len(steps)
        commit(group_commit, numbers, 5, size)
        warm = len(steps)
        commit(group_commit, numbers, groups, size)
        return steps[before:warm], steps[warm:]


def served(server: Postgres, scratch: Path, seconds: int, kinds: Sequence[str]) -> Table:
    """Measure uploads a second over HTTP with 1, 2 and 4 processes."""
    grid = Table("processes", "commits in", "uploads/s", "p99 ms", "CPU us an upload")
    for kind in kinds:
        for processes in (1, 2, 4):
            with server.database() as url, tempfile.TemporaryDirectory(dir=scratch) as place:
                flags = ["--database-url", url, "--content-url", f"{place}/store"]
                flags += ["--processes", str(processes), "--committer", kind]
                with serving("product", product_command(Path(place) / "data", *flags)) as product:
                    uploads(product.url, connections=64, seconds=3)
                    busy = -cpu_of(product.pid)
                    load = uploads(product.url, connections=64, seconds=seconds)
                    busy += cpu_of(product.pid)
            cells = (
                f"{load.rate:,.0f}",
                f"{load.p99_ms:.0f}",
                f"{busy / load.rate / seconds * 1e6:,.0f}",
            )
            grid.add_row(str(processes), kind, *cells)
    return grid


def cpu_of(pid: int) -> float:
    """Return the processor time in s of a process and of all that it started."""
    times = stat_of(Path(f"/proc/{pid}/stat"))
    own = (int(times["utime"]) + int(times["stime"])) / os.sysconf("SC_CLK_TCK")
    return own + sum(map(cpu_of, children_of(pid)))


def fill(url: str, folder: Path, assets: int) -> None:
    """Record so many assets, then make the tables, as a start does."""
    folder.mkdir(parents=True)
    engine = DatabaseEngine(url, folder)
    with engine.writing() as log:
        for first in range(0, assets, 2_000):
            record(log, [command(n) for n in range(first, min(first + 2_000, assets))])
    with engine.open(None):
        pass
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("ANALYZE")


async def pages(url: str, folder: Path, assets: int, rounds: int, seconds: float) -> list[Pair]:
    """Compare pages of 50 of a job: the product's queries, and their ready statements."""
    jobs, pairs = names("job", assets), list[Pair]()
    async with open_backend(Settings(data_dir=folder, database_url=url)) as backend:
        query = backend.projections.assets.page

        async def page(n: int) -> None:
            await query("1", {"job_id": [jobs[n % len(jobs)]]}, page_size=50)

        ready = await _statements(page, len(jobs))
        connections = [await _connected(url) for _ in range(READERS)]
        free = [*connections]

        async def floor(n: int) -> None:
            db = free.pop()
            sql, values = ready[n % len(ready)]
            await (await db.execute(sql, values, binary=True)).fetchall()
            free.append(db)

        for _ in range(rounds):
            pairs.append(Pair(await _during(page, seconds), await _during(floor, seconds)))
        for each in connections:
            await each.close()
    return pairs


async def _statements(page: Any, number: int) -> list[tuple[bytes, Sequence[Any]]]:
    found: list[tuple[bytes, Sequence[Any]]] = []
    rows = AsyncPostgresReaders.rows

    async def noted(
        self: AsyncPostgresReaders, sql: str, values: Sequence[Any] = (), brief: bool = False
    ) -> Any:
        found.append((translate(sql).encode(), values))
        return await rows(self, sql, values, brief)

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


async def _during(read: Any, seconds: float) -> Turn:
    """Read again and again in four tasks."""
    start, busy, numbers = time.perf_counter(), time.process_time(), count()

    async def one() -> None:
        while time.perf_counter() - start < seconds:
            await read(next(numbers))

    await asyncio.gather(*(one() for _ in range(READERS)))
    return Turn(time.perf_counter() - start, time.process_time() - busy, next(numbers))


def rebuilds(url: str, folder: Path, rounds: int) -> list[Pair]:
    """Compare the table of assets, made by its projection and by one SQL statement."""
    engine = DatabaseEngine(url, folder)
    feed = Feed(engine.reader(), Codec(), "0" * 32)
    pairs, numbers = list[Pair](), count(100)
    with closing(TableSchemas(url)) as store:
        for _ in range(rounds):
            product = timed(lambda: _by_events(store, next(numbers), feed))
            pairs.append(Pair(product, timed(lambda: _by_sql(store, next(numbers)))))
    return pairs


def _by_events(store: TableSchemas, number: int, feed: Feed) -> int:
    runner = Runner(_made(store, number), feed)
    fill_new(runner)
    runner.catch_up()
    runner.close()
    store.remove(number)
    return runner.position


def _by_sql(store: TableSchemas, number: int) -> int:
    database = _made(store, number)
    indexes = database.indexes()
    database.write.execute("SET synchronous_commit = off")
    for name, _ in indexes:
        database.write.execute(f"DROP INDEX {name}")
    database.write.execute(FLOOR)
    for _, sql in indexes:
        database.write.execute(sql)
    database.write.execute("ANALYZE")
    ((made,),) = database.write.execute("SELECT count(*) FROM assets").fetchall()
    database.close()
    store.remove(number)
    return int(made)


def _made(store: TableSchemas, number: int) -> Any:
    database = store.open(number, [Assets()])
    migrate(database)
    return database


@contextmanager
def durable(folder: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL that waits for its disk."""
    folder.chmod(0o755)
    place = folder / "postgres"
    place.mkdir()
    server = Postgres(place, installed())
    server.start(DURABLE)
    try:
        yield server
    finally:
        server.stop()


@click.command()
@click.option("--assets", type=click.IntRange(1_000), multiple=True, default=(1_000_000,))
@click.option("--rounds", type=click.IntRange(1), default=5, help="Turns of each side.")
@click.option("--events", type=click.IntRange(100), default=20_000, help="Events of a turn.")
@click.option("--seconds", type=click.IntRange(1), default=10, help="Length of a turn of reads.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="A disk to measure.")
@click.option("--only", type=click.Choice(["groups", "servers", "tables"]), help="One part.")
def main(
    assets: tuple[int, ...],
    rounds: int,
    events: int,
    seconds: int,
    folder: Path | None,
    only: str | None,
) -> None:
    """Measure group commits, servers, pages and rebuilds on a PostgreSQL of its own."""
    console = Console(width=110)
    with (
        tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-", dir=folder) as place,
        durable(Path(place)) as server,
    ):
        scratch = Path(place)
        if only in (None, "groups"):
            console.print(group_commits(server, scratch, rounds, events))
        if only in (None, "servers"):
            console.print(served(server, scratch, seconds, ("process", "thread")))
        for number in assets if only in (None, "tables") else ():
            console.print(_tables(server, scratch, number, rounds, seconds))
    click.echo(" · ".join(f"{name} {value}" for name, value in machine().items()))


def _tables(server: Postgres, scratch: Path, assets: int, rounds: int, seconds: int) -> Table:
    grid = Table("", "product", "floor", "ratio", "CPU", "bar", title=f"{assets:,} assets")
    folder = scratch / f"filled-{assets}"
    with server.database() as url:
        started = time.perf_counter()
        fill(url, folder, assets)
        grid.caption = f"filled in {time.perf_counter() - started:.0f} s"
        read = asyncio.run(pages(url, folder, assets, rounds, seconds))
        grid.add_row(*row_of("pages of 50 of a job", read, "0.8", "/s"))
        made = rebuilds(url, folder, rounds)
        if {pair.floor.units for pair in made} != {assets}:
            raise BenchmarkError("the floor has not made every row")
        grid.add_row(*row_of("table of assets", made, "0.33", "events/s"))
    return grid


if __name__ == "__main__":
    main()
