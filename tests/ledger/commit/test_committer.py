"""Group commit: nobody is answered too early, nobody is told a lie, nobody fails for another."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.ledger.commit.committer import Writer
from asset_ledger.ledger.commit.requests import Written
from asset_ledger.ledger.content.local import LocalContents, open_local_contents
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import (
    BusyError,
    DiskFullError,
    OutcomeUnknownError,
    StorageFailedError,
    VersionConflictError,
)
from asset_ledger.ledger.ids import digest_of
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Command
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.reading.feed import Feed
from tests.builders import asset_id, command, command_key, created
from tests.contracts.event_log import creation, positions


class Tables:
    """A view that notes what it was shown, and can be held or fail: the edge of the writer."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, int]] = []
        self.current = True
        self.gate = threading.Event()
        self.gate.set()

    def prepare(self, recorded: Sequence[Recorded]) -> object:
        return len(recorded)

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> bool:
        assert leaf
        self.gate.wait()
        self.shown.append((len(prepared), last))
        return self.current


class House:
    """A writer with everything it stands on."""

    def __init__(
        self,
        folder: Path,
        log: SqliteLog,
        feed: Feed,
        contents: LocalContents,
        writer: Writer,
        tables: Tables,
    ) -> None:
        self.folder = folder
        self.log, self.feed, self.contents = log, feed, contents
        self.writer, self.tables = writer, tables

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is answered inside; the next commands gather."""
        self.tables.gate.clear()
        try:
            yield
        finally:
            self.tables.gate.set()

    def begin(self, wanted: Command, *contents: Any) -> "asyncio.Task[Written]":
        return asyncio.create_task(self.writer.append(wanted, contents))


@asynccontextmanager
async def open_house(folder: Path, *, queue_size: int = 8, **log: Any) -> AsyncIterator[House]:
    opened = SqliteLog(folder / "ledger.db", Codec(), **log)
    contents = await open_local_contents(folder / "content")
    tables = Tables()
    feed = Feed(opened, Codec(), "0" * 32)
    writer = Writer(opened, contents, tables, feed, queue_size=queue_size)
    try:
        yield House(folder, opened, feed, contents, writer, tables)
    finally:
        tables.gate.set()
        await writer.close()
        await contents.close()
        opened.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


async def until(condition: Any) -> None:
    """Wait for something that another thread does."""
    async with asyncio.timeout(60):  # a hang fails; it is no matter of speed
        while not condition():  # noqa: ASYNC110 - a thread sets no event of this loop
            await asyncio.sleep(0.001)


async def staged(house: House, content: bytes) -> Any:
    stage = house.contents.stage()
    await stage.write(content)
    return await stage.finish()


async def test_an_answer_comes_after_the_fact_is_durable_and_shown(house: House) -> None:
    with house.held():
        answer = house.begin(creation(1))
        await until(lambda: house.log.head().position == 1)
        assert not answer.done()

    written = await answer

    assert (written.appended.first, written.behind) == (1, False)
    assert house.tables.shown == [(1, 1)]


async def test_while_one_group_commits_the_next_gathers(house: House) -> None:
    with house.held():
        first = house.begin(creation(1))
        await until(lambda: house.log.head().position == 1)
        others = [house.begin(creation(n)) for n in range(2, 8)]
        await asyncio.sleep(0)

    await asyncio.gather(first, *others)

    assert house.tables.shown == [(1, 1), (6, 7)]


async def test_one_refusal_in_a_group_is_one_callers_own(house: House) -> None:
    with house.held():
        first = house.begin(creation(1))
        await until(lambda: house.log.head().position == 1)
        clash, fine = house.begin(creation(1)), house.begin(creation(2))
        await asyncio.sleep(0)

    await first
    with pytest.raises(VersionConflictError):
        await clash
    assert (await fine).appended.first == 2


async def test_a_view_that_is_behind_is_told_to_the_caller(house: House) -> None:
    house.tables.current = False

    assert (await house.writer.append(creation(1))).behind


async def test_who_stops_waiting_does_not_stop_the_commit(house: House) -> None:
    with house.held():
        first = house.begin(creation(1))
        await until(lambda: house.log.head().position == 1)
        gone = house.begin(creation(2))
        await asyncio.sleep(0)
        gone.cancel()

    await first
    await until(lambda: positions(house.log) == [1, 2])
    assert (await house.writer.append(creation(3))).appended.first == 3


async def test_places_run_out_and_come_back(tmp_path: Path) -> None:
    async with open_house(tmp_path, queue_size=2) as house:
        place = house.writer.place
        with place(), place(), pytest.raises(BusyError), place():
            pass
        with house.writer.place(), house.writer.place():
            pass


async def test_closing_records_what_still_waits(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        with house.held():
            answers = [house.begin(creation(n)) for n in range(1, 6)]
            await asyncio.sleep(0)

    assert [(await answer).appended.first for answer in answers] == [1, 2, 3, 4, 5]


async def test_small_contents_are_durable_with_their_fact(house: House) -> None:
    content = await staged(house, b"meow")

    await house.writer.append(creation(1), [content])

    opened = await house.contents.open(digest_of(b"meow"))
    assert opened is not None
    assert opened.size == 4
    await opened.close()


class FailingPack(LocalContents):
    """Contents whose disk fails for one digest."""

    error: Exception | None = None
    poison = b"bad"

    def pack(self, contents: Sequence[Any]) -> None:
        if any(content.small == self.poison for content in contents) and self.error:
            raise self.error
        super().pack(contents)


def failure(code: int, text: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.fixture
def failing_pack(house: House) -> House:
    house.contents.__class__ = FailingPack
    return house


async def test_no_fact_is_recorded_without_its_bytes(
    failing_pack: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FailingPack, "error", failure(sqlite3.SQLITE_FULL, "full"))
    good, bad = await staged(failing_pack, b"good"), await staged(failing_pack, b"bad")
    with failing_pack.held():
        first = failing_pack.begin(creation(1))
        await until(lambda: failing_pack.log.head().position == 1)
        lost, kept = failing_pack.begin(creation(2), bad), failing_pack.begin(creation(3), good)
        await asyncio.sleep(0)

    await asyncio.gather(first, kept)
    with pytest.raises(DiskFullError):
        await lost
    assert positions(failing_pack.log) == [1, 2]
    assert [s.originator_id for s in failing_pack.log.read(0, 9)] == [asset_id(1), asset_id(3)]


async def test_who_follows_closely_is_given_what_the_log_holds(house: House) -> None:
    await asyncio.gather(*(house.writer.append(creation(number)) for number in range(1, 6)))

    for after, limit in [(0, 9), (2, 2), (4, 9), (5, 9)]:
        stored = [Codec().decode(each) for each in house.log.read(after, limit)]
        assert house.feed.read(after, limit) == stored


async def test_what_is_no_longer_in_memory_is_read_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asset_ledger.ledger.reading.feed.KEPT", 4)
    async with open_house(tmp_path) as house:
        for number in range(1, 7):
            await house.writer.append(creation(number))
        reads: list[int] = []
        read = house.log.read

        def noted(after: int, limit: int, **others: Any) -> Any:
            reads.append(after)
            return read(after, limit, **others)

        monkeypatch.setattr(house.log, "read", noted)
        for after, limit in [(0, 9), (1, 4), (2, 4), (2, 9), (5, 1), (6, 9)]:
            found = house.feed.read(after, limit)
            assert found == [Codec().decode(each) for each in read(after, limit)]

    assert reads == [0, 1, 6]  # of the others all that there is was in memory


async def test_after_a_failed_fsync_of_contents_no_more_are_taken(
    failing_pack: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FailingPack, "error", failure(sqlite3.SQLITE_IOERR_FSYNC, "I/O error"))
    bad, good = await staged(failing_pack, b"bad"), await staged(failing_pack, b"good")
    with pytest.raises(StorageFailedError, match="read-only until a restart"):
        await failing_pack.writer.append(creation(1), [bad])

    with pytest.raises(StorageFailedError, match="read-only until a restart"):
        await failing_pack.writer.append(creation(2), [good])
    assert positions(failing_pack.log) == []


async def test_a_defect_in_the_middle_is_told_as_unknown_and_the_next_group_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("a view must never raise")

    monkeypatch.setattr(house.tables, "apply", broken)
    with pytest.raises(OutcomeUnknownError):
        await house.writer.append(command(created(originator_id=asset_id(1)), key=command_key()))
    monkeypatch.undo()

    again = command(created(originator_id=asset_id(2)), key=command_key())
    assert (await house.writer.append(again)).appended.replayed
    assert "a group of 1 writes failed" in caplog.text


async def test_eight_writers_and_a_tail_that_misses_nothing(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        seen: list[int] = []

        async def write(writer: int) -> None:
            for number in range(50):
                await house.writer.append(creation(writer * 1000 + number))

        async def tail() -> None:
            while len(seen) < 400:
                after = seen[-1] if seen else 0
                seen.extend(
                    fact.position for fact in await asyncio.to_thread(house.feed.read, after, 7)
                )

        await asyncio.gather(tail(), *(write(n) for n in range(1, 9)))

        assert seen == list(range(1, 401))


async def test_who_waits_for_the_log_to_grow_is_woken(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        waiting = asyncio.create_task(house.feed.wait_beyond(0))
        await asyncio.sleep(0)
        assert not waiting.done()

        await house.writer.append(creation(1))

        assert await waiting == 1


async def test_what_else_is_written_is_written_between_two_groups(house: House) -> None:
    with house.held():
        first = house.begin(creation(1))
        await until(lambda: house.log.head().position == 1)
        kept = asyncio.create_task(house.writer.keep_checkpoint(1, "signed"))
        await asyncio.sleep(0)
        assert not kept.done()

    assert await kept == "signed"
    assert (await first).appended.first == 1


async def test_what_fails_beside_the_groups_is_its_callers_own(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise StorageFailedError("not today")

    monkeypatch.setattr(house.log, "keep_checkpoint", fail)
    with pytest.raises(StorageFailedError, match="not today"):
        await house.writer.keep_checkpoint(1, "signed")

    assert (await house.writer.append(creation(1))).appended.first == 1


async def test_what_came_while_nothing_was_handed_over_has_its_turn_afterwards(
    house: House,
) -> None:
    async with house.writer.between_groups():
        waiting = house.begin(creation(1))
        await asyncio.sleep(0)
        assert house.log.head().position == 0

    assert (await waiting).appended.first == 1


async def test_a_busy_writer_says_so_once(house: House) -> None:
    said: list[str] = []
    house.writer.when_busy(lambda: said.append("busy"))

    await house.writer.append(creation(1))
    assert not said

    await asyncio.gather(*(house.writer.append(creation(number)) for number in range(2, 40)))
    assert said == ["busy"]


async def test_who_stops_waiting_for_it_does_not_stop_the_writer(house: House) -> None:
    with house.held():
        first = house.begin(creation(1))
        await until(lambda: house.log.head().position == 1)
        gone = asyncio.create_task(house.writer.keep_checkpoint(1, "signed"))
        await asyncio.sleep(0)
        gone.cancel()

    await first
    assert (await house.writer.append(creation(2))).appended.first == 2
    assert gone.cancelled()
