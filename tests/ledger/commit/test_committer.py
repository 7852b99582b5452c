"""Group commit: no caller is answered too early, and a failure is that of its own command."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.ledger.content.packed import Packed
from asset_ledger.ledger.errors import (
    BusyError,
    DiskFullError,
    OutcomeUnknownError,
    StorageFailedError,
    VersionConflictError,
)
from asset_ledger.ledger.ids import digest_of
from asset_ledger.ledger.log.codec import Codec
from tests.builders import asset_id, command, command_key, created
from tests.contracts.event_log import creation, positions
from tests.ledger.parts import Parts, open_parts, until


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with open_parts(tmp_path) as parts:
        yield parts


async def test_an_answer_comes_after_the_event_is_durable_and_shown(parts: Parts) -> None:
    with parts.held():
        answer = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        assert not answer.done()

    written = await answer

    assert (written.appended.first, written.behind) == (1, False)
    assert parts.tables.applied == [(1, 1)]


async def test_while_one_group_commits_the_next_gathers(parts: Parts) -> None:
    with parts.held():
        first = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        others = [parts.begin(creation(n)) for n in range(2, 8)]
        await asyncio.sleep(0)

    await asyncio.gather(first, *others)

    assert parts.tables.applied == [(1, 1), (6, 7)]


async def test_one_refusal_in_a_group_is_one_callers_own(parts: Parts) -> None:
    with parts.held():
        first = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        clash, fine = parts.begin(creation(1)), parts.begin(creation(2))
        await asyncio.sleep(0)

    await first
    with pytest.raises(VersionConflictError):
        await clash
    assert (await fine).appended.first == 2


async def test_a_projection_that_is_behind_is_told_to_the_caller(parts: Parts) -> None:
    parts.tables.is_lagging = True

    assert (await parts.committer.append(creation(1))).behind


async def test_who_stops_waiting_does_not_stop_the_commit(parts: Parts) -> None:
    with parts.held():
        first = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        gone = parts.begin(creation(2))
        await asyncio.sleep(0)
        gone.cancel()

    await first
    await until(lambda: positions(parts.reader) == [1, 2])
    assert (await parts.committer.append(creation(3))).appended.first == 3


async def test_places_run_out_and_come_back(tmp_path: Path) -> None:
    async with open_parts(tmp_path, queue_size=2) as parts:
        take = parts.committer.slots.take
        with take(), take(), pytest.raises(BusyError), take():
            pass
        with take(), take():
            assert parts.committer.slots.taken == 2


async def test_closing_records_what_still_waits(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as parts:
        with parts.held():
            answers = [parts.begin(creation(n)) for n in range(1, 6)]
            await asyncio.sleep(0)

    assert [(await answer).appended.first for answer in answers] == [1, 2, 3, 4, 5]


async def test_small_contents_are_durable_with_their_event(parts: Parts) -> None:
    content = await parts.staged(b"meow")

    await parts.committer.append(creation(1), [content])

    opened = await parts.contents.open(digest_of(b"meow"))
    assert opened is not None
    assert opened.size == 4
    await opened.close()


def failing_for(poison: bytes, code: int, text: str) -> type[sqlite3.Connection]:
    """Connections whose disk fails when these bytes are written."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code

    class Failing(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            if poison in parameters:
                raise error
            return super().execute(sql, parameters)

    return Failing


async def test_no_event_is_recorded_without_its_bytes(tmp_path: Path) -> None:
    full = partial(Packed, factory=failing_for(b"bad", sqlite3.SQLITE_FULL, "full"))
    async with open_parts(tmp_path, packed=full) as parts:
        good, bad = await parts.staged(b"good"), await parts.staged(b"bad")
        with parts.held():
            first = parts.begin(creation(1))
            await until(lambda: parts.head == 1)
            lost, kept = parts.begin(creation(2), bad), parts.begin(creation(3), good)
            await asyncio.sleep(0)

        await asyncio.gather(first, kept)
        with pytest.raises(DiskFullError):
            await lost
        assert positions(parts.reader) == [1, 2]
        streams = [stored.originator_id for stored in parts.reader.read(0, 9)]
        assert streams == [asset_id(1), asset_id(3)]


async def test_who_follows_closely_is_given_what_the_log_holds(parts: Parts) -> None:
    await asyncio.gather(*(parts.committer.append(creation(number)) for number in range(1, 6)))

    for after, limit in [(0, 9), (2, 2), (4, 9), (5, 9)]:
        stored = [Codec().decode(each) for each in parts.reader.read(after, limit)]
        assert parts.feed.read(after, limit) == stored


async def test_events_that_left_the_memory_are_read_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asset_ledger.ledger.reading.feed.RECENT", 4)
    async with open_parts(tmp_path) as parts:
        for number in range(1, 7):
            await parts.committer.append(creation(number))
        reads: list[int] = []
        read = parts.reader.read

        def noted(after: int, limit: int, **others: Any) -> Any:
            reads.append(after)
            return read(after, limit, **others)

        monkeypatch.setattr(parts.reader, "read", noted)
        for after, limit in [(0, 9), (1, 4), (2, 4), (2, 9), (5, 1), (6, 9)]:
            found = parts.feed.read(after, limit)
            assert found == [Codec().decode(each) for each in read(after, limit)]

    assert reads == [0, 1, 6]  # of the others all that there is was in memory


async def test_after_a_failed_fsync_of_contents_no_more_are_taken(tmp_path: Path) -> None:
    failing = failing_for(b"bad", sqlite3.SQLITE_IOERR_FSYNC, "I/O error")
    async with open_parts(tmp_path, packed=partial(Packed, factory=failing)) as parts:
        bad, good = await parts.staged(b"bad"), await parts.staged(b"good")
        with pytest.raises(StorageFailedError, match="read-only until a restart"):
            await parts.committer.append(creation(1), [bad])

        with pytest.raises(StorageFailedError, match="read-only until a restart"):
            await parts.committer.append(creation(2), [good])
        assert parts.committer.failure is not None
        assert positions(parts.reader) == []


async def test_a_defect_in_a_group_answers_unknown_and_the_next_group_goes_on(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    parts.tables.error = RuntimeError("tables must never raise")
    with pytest.raises(OutcomeUnknownError):
        await parts.committer.append(command(created(originator_id=asset_id(1)), key=command_key()))
    parts.tables.error = None

    again = command(created(originator_id=asset_id(2)), key=command_key())
    assert (await parts.committer.append(again)).appended.replayed
    assert "a group of 1 writes failed" in caplog.text


async def test_eight_writers_and_a_tail_that_misses_nothing(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as parts:
        seen: list[int] = []

        async def write(writer: int) -> None:
            for number in range(50):
                await parts.committer.append(creation(writer * 1000 + number))

        async def tail() -> None:
            while len(seen) < 400:
                after = seen[-1] if seen else 0
                seen.extend(
                    event.position for event in await asyncio.to_thread(parts.feed.read, after, 7)
                )

        await asyncio.gather(tail(), *(write(n) for n in range(1, 9)))

        assert seen == list(range(1, 401))


async def test_who_waits_for_the_log_to_grow_is_woken(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as parts:
        waiting = asyncio.create_task(parts.feed.wait_beyond(0))
        await asyncio.sleep(0)
        assert not waiting.done()

        await parts.committer.append(creation(1))

        assert await waiting == 1


async def test_what_else_is_written_is_written_between_two_groups(parts: Parts) -> None:
    with parts.held():
        first = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        kept = asyncio.create_task(parts.committer.keep_checkpoint(1, "signed"))
        await asyncio.sleep(0)
        assert not kept.done()

    assert await kept == "signed"
    assert (await first).appended.first == 1


async def test_what_fails_beside_the_groups_is_its_callers_own(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise StorageFailedError("not today")

    monkeypatch.setattr(parts.log, "keep_checkpoint", fail)
    with pytest.raises(StorageFailedError, match="not today"):
        await parts.committer.keep_checkpoint(1, "signed")

    assert (await parts.committer.append(creation(1))).appended.first == 1


async def test_who_stops_waiting_for_it_does_not_stop_the_writer(parts: Parts) -> None:
    with parts.held():
        first = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        gone = asyncio.create_task(parts.committer.keep_checkpoint(1, "signed"))
        await asyncio.sleep(0)
        gone.cancel()

    await first
    assert (await parts.committer.append(creation(2))).appended.first == 2
    assert gone.cancelled()
