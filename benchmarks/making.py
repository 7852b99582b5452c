"""The ways to make tables from a log that `benchmarks.rebuild` compares, each in a new process.

Promise: the floor makes the same rows, JSON and indexes as the product.
"""

import multiprocessing
import os
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asset_ledger.api.engine import engine_of
from asset_ledger.api.workers.second_rebuild_worker import start_second_for
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.folder_lock import hold_build_lock
from asset_ledger.ledger.storage.sqlite import read_only
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.rebuild.build import build
from asset_ledger.projections.runtime.bulk import fill_new
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.table_files import SqliteDatabase, path_of
from asset_ledger.projections.tables.assets import Assets
from benchmarks.machine import BenchmarkError

FLOOR: Final = """
    INSERT INTO assets (seq, user_id, workflow_id, node_id, job_id, parent_id, name, content_type,
        size, tags, derived_from, duration, version, position, deleted_at, deleted_by, attempt,
        json)
    SELECT rowid, state ->> 'user_id', state ->> 'workflow_id', state ->> 'node_id',
        state ->> 'job_id', state ->> 'parent_id', state ->> '$.private.name',
        state ->> 'content_type', state ->> 'size', coalesce(state ->> '$.private.tags', '[]'),
        coalesce(state ->> 'derived_from', '[]'), state ->> '$.private.duration',
        originator_version, rowid, NULL, NULL, coalesce(state ->> 'attempt', 1),
        json_object(
            'id', originator_id,
            'created_at', coalesce(state ->> 'made_at', state ->> 'recorded_at'),
            'updated_at', state ->> 'recorded_at', 'digest', state ->> 'digest',
            'user_id', state ->> 'user_id', 'workflow_id', state ->> 'workflow_id',
            'parent_id', coalesce(state ->> 'parent_id', state ->> 'user_id'),
            'name', state ->> '$.private.name', 'content_type', state ->> 'content_type',
            'size', state ->> 'size', 'metadata', state -> '$.private.metadata',
            'get_url', '/api/assets/' || originator_id || '/content', 'thumb_url', NULL,
            'duration', state ->> '$.private.duration', 'node_id', state ->> 'node_id',
            'job_id', state ->> 'job_id', 'etag', 'v' || originator_version,
            'version', originator_version, 'position', rowid,
            'tags', json(coalesce(state -> '$.private.tags', '[]')),
            'derived_from', json(coalesce(state -> 'derived_from', '[]')),
            'attempt', coalesce(state ->> 'attempt', 1))
    FROM log.stored_events WHERE topic = 'asset.created' ORDER BY rowid
"""
INDEXES: Final = "SELECT name, sql FROM main.sqlite_master WHERE type = 'index' AND sql NOT NULL"
UNSAFE: Final = ("journal_mode=OFF", "synchronous=OFF", "cache_size=-32000")


@dataclass(frozen=True, slots=True)
class Made:
    """One run: its events, its wall time and CPU time in s, and its peak memory in MiB."""

    events: int
    seconds: float
    cpu_seconds: float
    peak_mib: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def by_sql(log: Path, folder: Path) -> Callable[[], int]:
    """The floor: one SQL statement for the rows, then the indexes, without journal and fsync."""
    migrated(folder, [Assets()]).close()

    def make() -> int:
        with closing(sqlite3.connect(path_of(folder, 1), isolation_level=None, uri=True)) as db:
            for setting in UNSAFE:
                db.execute(f"PRAGMA {setting}")
            db.execute("ATTACH ? AS log", (read_only(log),))
            db.execute("BEGIN")
            indexes = db.execute(INDEXES).fetchall()
            for name, _ in indexes:
                db.execute(f"DROP INDEX {name}")
            made = db.execute(FLOOR).rowcount
            for _, sql in indexes:
                db.execute(sql)
            db.execute("COMMIT")
            return made

    return make


def by_events(log: Path, folder: Path) -> Callable[[], int]:
    """The product: only the table of assets."""
    runner = Runner(migrated(folder, [Assets()]), feed_of(log))

    def make() -> int:
        fill_new(runner)
        runner.catch_up()
        runner.close()
        return runner.position

    return make


def one_by_one(log: Path, folder: Path) -> Callable[[], int]:
    """One durable transaction for each event, as in a library without batches."""
    feed = feed_of(log)
    runner = Runner(migrated(folder, [Assets()]), feed)
    runner.database.write.execute("PRAGMA synchronous=FULL")

    def make() -> int:
        for position in range(1, min(feed.head(), SINGLE) + 1):
            runner.apply([runner.prepare(feed.read(position - 1, 1))], position, b"")
        runner.close()
        return runner.position

    return make


SINGLE: Final = 5_000
"""Events of the way `one_by_one`: its time per event does not depend on their number."""


def generation(log: Path, folder: Path) -> Callable[[], int]:
    """The product: all tables and their digest, as `asset-ledger rebuild` makes them."""
    DataFolder(folder).log.symlink_to(log)

    def make() -> int:
        engine, codec = engine_of(folder, None), Codec()
        with closing(engine.reader()) as reader, hold_build_lock(folder) as lock:
            feed = Feed.of_log(reader, codec)
            second = start_second_for(engine, lock)
            return build(engine.tables(), 1, feed, start_second=second).position

    return make


def migrated(folder: Path, projections: Sequence[Projection]) -> SqliteDatabase:
    database = SqliteDatabase(folder, 1, projections)
    migrate(database)
    return database


def feed_of(log: Path) -> Feed:
    return Feed(SqliteLogReader(log), Codec(), "benchmark")


Way = Callable[[Path, Path], Callable[[], int]]


def made(way: Way, log: Path, scratch: Path) -> Made:
    """Measure one way in a temporary process and folder."""
    with temporary(scratch) as folder:
        return in_a_process(way, log, folder)


@contextmanager
def temporary(scratch: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        yield Path(folder)


def in_a_process(way: Way, log: Path, folder: Path) -> Made:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(measured, (way, log, folder))


def measured(way: Way, log: Path, folder: Path) -> Made:
    make = way(log, folder)
    start, busy = time.perf_counter(), cpu_seconds()
    events = make()
    return Made(events, time.perf_counter() - start, cpu_seconds() - busy, peak_mib())


def cpu_seconds() -> float:
    """Return the processor time of this process, and of those that it started and that ended."""
    return sum(os.times()[:4])


def peak_mib() -> float:
    """Return the peak resident memory of this process, and that of the largest one it started."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024


def compare(log: Path, scratch: Path) -> None:
    """Raise BenchmarkError unless the floor's rows are those of the product."""
    with temporary(scratch) as floor, temporary(scratch) as product:
        by_sql(log, floor)()
        by_events(log, product)()
        with closing(sqlite3.connect(path_of(floor, 1), uri=True)) as db:
            db.execute("ATTACH ? AS product", (read_only(path_of(product, 1)),))
            for one, other in (("main", "product"), ("product", "main")):
                rows = f"SELECT * FROM {one}.assets EXCEPT SELECT * FROM {other}.assets"
                if row := db.execute(rows).fetchone():
                    raise BenchmarkError(f"a row is only in {one}: {row}")
