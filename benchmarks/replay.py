"""Replay of a job of 100 events in a log of a million, against reading its rows with aiosqlite.

Promise: the rows of a job are far apart in the log, and each replay is compared with a read of the
same job at the same time.
"""

import asyncio
import random
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import aiosqlite
import click
import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from asset_ledger.api.contract.event_out import event_out
from asset_ledger.ledger.domain.decisions import NewAsset, create
from asset_ledger.ledger.domain.event import Origin
from asset_ledger.ledger.ids import new_asset_id
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Command
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.reading.replay import Replay
from benchmarks.fill import A_COMMIT, TEXTS, command, record
from benchmarks.machine import BenchmarkError, machine

EVENTS: Final = 100
JOBS: Final = [f"replayed_{n:02d}" for n in range(50)]
BAR: Final = 3.0
FLOOR, REPLAYED, ENCODED = "rows by aiosqlite", "replayed to events", "encoded as JSON"

_ROWS: Final = """SELECT e.rowid, e.* FROM event_tags t
    CROSS JOIN stored_events e ON e.rowid = t.position
    WHERE t.user_id = '1' AND t.kind = 'job' AND t.value = ? ORDER BY t.position"""

Reading = Callable[[str], Awaitable[int]]
"""Reads a job, and returns the number of its events."""


def fill(folder: Path, events: int, progress: Progress) -> None:
    """Make a log of this many events, with one event of each replayed job in each hundredth."""
    codec = Codec()
    log = SqliteLog(folder / "ledger.db", codec)
    try:
        open_identity(log, codec, folder / "checkpoint.key", new_log_id=uuid.uuid4().hex)
        bar = progress.add_task(f"{events:,} events", total=events)
        between = events // EVENTS - len(JOBS)
        for first in range(0, EVENTS * between, between):
            for start in range(first, first + between, A_COMMIT):
                record(
                    log, [command(n) for n in range(start, min(start + A_COMMIT, first + between))]
                )
            record(log, [made_in(job) for job in JOBS])
            progress.advance(bar, events // EVENTS)
    finally:
        log.close()


def made_in(job: str) -> Command:
    asset = NewAsset(name="output.txt", content_type="text/plain", node_id="n", job_id=job)
    content = TEXTS.staged[0]
    events = create(
        asset,
        asset_id=new_asset_id(),
        size=content.size,
        digest=content.digest,
        origin=Origin(by="1", user_id="1"),
    )
    return Command(events)


async def rows(db: aiosqlite.Connection, job: str) -> int:
    return len(list(await db.execute_fetchall(_ROWS, (job,))))


async def replayed(replay: Replay, job: str) -> int:
    return len(await asyncio.to_thread(replay.job, "1", job, 0, 1_000))


async def encoded(replay: Replay, job: str) -> int:
    events = await asyncio.to_thread(replay.job, "1", job, 0, 1_000)
    orjson.dumps([event_out(event) for event in events])
    return len(events)


async def measure(path: Path, uri: str, rounds: int) -> dict[str, list[float]]:
    """Return the durations of each reading in us, in turns, over the jobs in random order."""
    log = SqliteLogReader(path)
    replay = Replay(log, Codec())
    async with aiosqlite.connect(uri, uri=True) as db:
        readings: dict[str, Reading] = {
            FLOOR: partial(rows, db),
            REPLAYED: partial(replayed, replay),
            ENCODED: partial(encoded, replay),
        }
        taken: dict[str, list[float]] = {name: [] for name in readings}
        for _ in range(rounds):
            for job in random.sample(JOBS, len(JOBS)):
                for name, reading in readings.items():
                    taken[name].append(await timed(reading, job))
    log.close()
    return taken


async def timed(reading: Reading, job: str) -> float:
    start = time.perf_counter()
    events = await reading(job)
    spent = (time.perf_counter() - start) * 1e6
    if events != EVENTS:
        raise BenchmarkError(f"{job} has {events} events")
    return spent


def table(events: int, taken: dict[str, list[float]]) -> Table:
    grid = Table(
        "reading", "median us", "over the rows", "bar", title=f"{EVENTS} of {events:,} events"
    )
    for name, times in taken.items():
        bar = str(BAR) if name == REPLAYED else ""
        grid.add_row(name, f"{median(times):,.0f}", f"{over(times, taken[FLOOR]):.2f}", bar)
    return grid


def over(times: Sequence[float], floor: Sequence[float]) -> float:
    """Return the median ratio of neighbouring times."""
    return median(time / base for time, base in zip(times, floor, strict=True))


@click.command()
@click.option("--events", type=click.IntRange(10_000), default=1_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=20, help="How often each job is read.")
def main(events: int, rounds: int) -> None:
    """Replay jobs from a big log and print what it costs over the bare rows."""
    with tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-") as folder:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            fill(Path(folder), events, progress)
        path = Path(folder) / "ledger.db"
        taken = asyncio.run(measure(path, f"{path.as_uri()}?mode=ro", rounds))
    Console().print(table(events, taken))
    click.echo(" · ".join(f"{name} {value}" for name, value in machine().items()))


if __name__ == "__main__":
    main()
