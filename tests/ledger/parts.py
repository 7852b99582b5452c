"""A ledger on real files, opened part by part, for tests below the HTTP server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from asset_ledger.ledger.commit.committer import Committer
from asset_ledger.ledger.commit.group_commit import GroupCommit
from asset_ledger.ledger.commit.requests import Committed, TablesState
from asset_ledger.ledger.commit.thread import ThreadWorker
from asset_ledger.ledger.content.local import LocalContents, open_local_contents
from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Command
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.storage.data_folder import ContentFolder, DataFolder

LOG: Final = "0" * 32
"""The log id of a feed whose log has no first event."""

PATIENCE: Final = 60.0
"""Seconds after which a wait counts as a hang. No test depends on speed."""


class Tables:
    """Fake tables that note what was applied, and can block, fail or lag."""

    def __init__(self) -> None:
        self.applied: list[tuple[int, int]] = []
        self.is_lagging = False
        self.is_working = False
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self._position = 0

    @property
    def state(self) -> TablesState:
        return TablesState(1, self._position)

    def prepare(self, recorded: Sequence[Recorded]) -> object:
        return len(recorded)

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> None:
        assert leaf or not prepared
        self.gate.wait()
        if self.error is not None:
            raise self.error
        self.applied.append((len(prepared), last))
        if not self.is_lagging:
            self._position = last

    def doubt(self) -> None:
        raise AssertionError("these tables are in no transaction of the log")

    def begin_switch(self, before: int, generation: int, *, retire: bool) -> None:
        raise AssertionError("these tables have one generation")

    def turn(self) -> None:
        return None


class Observer:
    """Notes the states of the tables that the committer reports."""

    def __init__(self) -> None:
        self.states: list[TablesState] = []

    def learn(self, state: TablesState) -> None:
        self.states.append(state)

    async def adopt(self, state: TablesState) -> None:
        self.states.append(state)


@dataclass(frozen=True)
class Parts:
    """An open ledger. `log` and `packs` belong to the committer's thread."""

    folder: Path
    log: SqliteLog
    packs: Packs
    tables: Tables
    reader: SqliteLogReader
    feed: LiveFeed
    replay: AsyncReplay
    contents: LocalContents
    committer: Committer

    @property
    def head(self) -> int:
        """The stored head of the log."""
        return self.reader.head().position

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no group be answered inside the block, so that further commands gather."""
        self.tables.gate.clear()
        try:
            yield
        finally:
            self.tables.gate.set()

    def begin(self, command: Command, *contents: Any) -> "asyncio.Task[Committed]":
        """Append a command in a task of its own."""
        return asyncio.create_task(self.committer.append(command, contents))

    async def staged(self, content: bytes) -> Any:
        """Stage a content."""
        stage = self.contents.stage()
        await stage.write(content)
        return await stage.finish()


@asynccontextmanager
async def open_parts(
    folder: Path,
    *,
    queue_size: int = 8,
    log: Callable[[Path, Codec], SqliteLog] = SqliteLog,
    packs: Callable[[ContentFolder], Packs] = Packs,
    log_id: str = LOG,
) -> AsyncIterator[Parts]:
    """Open the parts in this folder, and close them."""
    tables = Tables()
    contents = await open_local_contents(folder / "content")
    opened_log = log(folder / "ledger.db", Codec())
    opened_packs = packs(DataFolder(folder).content)

    @contextmanager
    def files() -> Iterator[GroupCommit]:
        with closing(opened_log), closing(opened_packs):
            yield GroupCommit(opened_log, opened_packs, tables)

    committer = Committer(ThreadWorker(files), queue_size)
    await committer.open()
    reader = SqliteLogReader(folder / "ledger.db")
    feed, replay = LiveFeed(reader, Codec(), log_id), AsyncReplay(Replay(reader, Codec()))
    committer.attach(feed, replay, Observer())
    try:
        yield Parts(
            folder,
            opened_log,
            opened_packs,
            tables,
            reader,
            feed,
            replay,
            contents,
            committer,
        )
    finally:
        tables.gate.set()
        await committer.drain()
        replay.close()
        reader.close()
        await contents.close()
        await committer.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, which another thread or process brings about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a thread sets no event of this loop
            await asyncio.sleep(0.001)
