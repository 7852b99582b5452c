"""A log and tables in real files, filled as the committer fills them, without its thread."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import orjson

from asset_ledger.ledger.domain.event import Event, Recorded
from asset_ledger.ledger.domain.ledger import FORMAT, LedgerOpened
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, Prepare
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.reading.feed import Feed, LiveFeed
from asset_ledger.ledger.storage.readers import AsyncSqliteReaders
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.queries.catalog import CatalogQueries
from asset_ledger.projections.queries.jobs import JobQueries
from asset_ledger.projections.rebuild.digest import digest
from asset_ledger.projections.runtime.generation import open_followers
from asset_ledger.projections.runtime.live import LiveTables
from asset_ledger.projections.runtime.registry import FOLLOWING
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import follow, start
from asset_ledger.projections.runtime.table_files import SqliteDatabase, TableFiles
from asset_ledger.projections.serving import Projections
from asset_ledger.projections.tables.catalog import Catalog
from tests.builders import command

LOG_ID = "ab" * 16


class World:
    """A data folder with a log, which begins with `LedgerOpened`."""

    def __init__(self, folder: Path, *, log_id: str = LOG_ID, codec: Codec | None = None) -> None:
        self.folder, self.tables = folder, TableFiles(folder)
        self.log = SqliteLog(folder / "ledger.db", codec or Codec())
        self.feed = Feed(self.log, Codec(), log_id)
        if not self.log.head().position:
            self.append(
                LedgerOpened(
                    originator_id=log_id,
                    originator_version=1,
                    by="system",
                    log_id=log_id,
                    origin=f"asset-ledger/{log_id}",
                    public_key="key",
                    format=FORMAT,
                )
            )

    def append(self, *events: Event, prepare: Prepare = lambda _: None) -> list[Appended]:
        """Record each event by its own command, all in one transaction."""
        outcomes = self.log.append([command(event) for event in events], prepare)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, Appended)]

    def write(self, runner: Runner, *events: Event) -> bool:
        """Record events as one group and write their rows, as the committer does."""
        appended = self.append(*events, prepare=runner.prepare)
        last = appended[-1]
        return runner.apply([each.prepared for each in appended], last.last, last.leaf)

    def stream(self, asset_id: str) -> list[Recorded]:
        """Return the stored events of an asset."""
        recorded = self.feed.read(0, 1_000)
        return [each for each in recorded if each.event.originator_id == asset_id]

    @contextmanager
    def projections(self) -> Iterator[Runner]:
        """Open the main file of tables as a start does."""
        runner = start(self.tables, self.feed)
        try:
            yield runner
        finally:
            runner.database.close()


class Served:
    """The tables of a world as a server has them: a thread fills them, the event loop reads."""

    def __init__(
        self, here: World, tables: LiveTables, projections: Projections, feed: LiveFeed
    ) -> None:
        self.here, self.tables, self.projections, self.feed = here, tables, projections, feed

    def record(self, *events: Event) -> int:
        """Record events as one group and fill the tables. Any thread may call."""
        appended = self.here.append(*events, prepare=self.tables.prepare)
        last = appended[-1]
        self.tables.apply([each.prepared for each in appended], last.last, last.leaf)
        return last.last

    def report(self) -> None:
        """Report the new events to projections and feed. Called on the event loop."""
        self.projections.learn(self.tables.state)
        self.feed.advance(self.here.log.head().position)

    def write(self, *events: Event) -> int:
        """Record events and report them; return the position of the last."""
        last = self.record(*events)
        self.report()
        return last

    async def switch(self, number: int) -> None:
        """Switch to a built generation."""
        following = await asyncio.to_thread(open_followers, self.here.tables, number, self.feed)

        async def switch() -> None:
            self.tables.begin_switch(self.tables.state.generation, number, retire=False)
            while (result := await asyncio.to_thread(self.tables.turn)) is None:
                pass
            self.report()
            if isinstance(result, Exception):
                raise result

        await self.projections.switch(following, switch)


@asynccontextmanager
async def served(here: World) -> AsyncIterator[Served]:
    """Open the tables of a world as a server does."""
    tables = LiveTables(here.tables, start(here.tables, here.feed))
    feed = LiveFeed(here.log, Codec(), here.feed.log_id)
    projections = await Projections.open(here.tables, tables.state, feed)
    try:
        yield Served(here, tables, projections, feed)
    finally:
        await projections.close()
        tables.close()


@contextmanager
def world(folder: Path, **options: Any) -> Iterator[World]:
    """Open a world, and close its log in the end."""
    opened = World(folder, **options)
    try:
        yield opened
    finally:
        opened.log.close()


def select(runner: Runner, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """Return rows, read through the connection that writes the tables."""
    return runner.database.write.execute(sql, parameters).fetchall()


def file_of(runner: Runner) -> Path:
    """Return the file of a runner's tables."""
    assert isinstance(runner.database, SqliteDatabase)
    return runner.database.path


def documents(runner: Runner) -> dict[str, Any]:
    """Return the API document of every asset, by id."""
    return {id: orjson.loads(json) for id, json in select(runner, "SELECT id, json FROM assets")}


def digest_of(runner: Runner) -> str:
    """Return the digest of all tables of a generation, those of the followers included."""
    files, number = TableFiles(file_of(runner).parent), runner.database.number
    with ExitStack() as stack:
        tables = runner.database.tables
        for projection in FOLLOWING:
            part = follow(files, number, projection, runner.feed)
            stack.callback(part.close)
            tables |= part.database.tables
        return digest(tables)


@asynccontextmanager
async def asset_queries(here: World, runner: Runner) -> AsyncIterator[AssetQueries]:
    """Open the queries of assets, with a catalog that has caught up with the log."""
    catalog = follow(here.tables, runner.database.number, Catalog(), here.feed)
    async with AsyncExitStack() as stack:
        stack.callback(catalog.close)
        readers = [AsyncSqliteReaders(file_of(each), 1) for each in (catalog, runner)]
        for each in readers:
            stack.push_async_callback(each.close)

        async def reach(_: int) -> None:
            catalog.catch_up()

        yield AssetQueries(readers[1], CatalogQueries(readers[0], readers[1], reach))


async def read_job(jobs: JobQueries, user_id: str = "1") -> dict[str, Any]:
    """Return the API document of the job `j` of a user."""
    job: dict[str, Any] = orjson.loads((await jobs.find(user_id, "j")).json)
    return job
