"""Group commit: no caller is answered too early, and a failure affects only its own command."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

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


async def test_committer_answers_after_event_and_rows_are_durable(parts: Parts) -> None:
    with parts.held():
        answer = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        assert not answer.done()

    committed = await answer

    assert (committed.appended.first, committed.behind) == (1, False)
    assert parts.tables.applied == [(1, 1)]


async def test_committer_gathers_the_next_group_while_one_commits(parts: Parts) -> None:
    with parts.held():
        first = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        others = [parts.begin(creation(n)) for n in range(2, 8)]
        await asyncio.sleep(0)

    await asyncio.gather(first, *others)

    assert parts.tables.applied == [(1, 1), (6, 7)]


async def test_committer_refuses_only_the_conflicting_command_of_a_group(parts: Parts) -> None:
    with parts.held():
        first = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        clash, fine = parts.begin(creation(1)), parts.begin(creation(2))
        await asyncio.sleep(0)

    await first
    with pytest.raises(VersionConflictError):
        await clash
    assert (await fine).appended.first == 2


async def test_answer_is_behind_when_the_tables_lag(parts: Parts) -> None:
    parts.tables.is_lagging = True

    assert (await parts.committer.append(creation(1))).behind


async def test_commit_continues_when_its_caller_is_cancelled(parts: Parts) -> None:
    with parts.held():
        first = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        cancelled = parts.begin(creation(2))
        await asyncio.sleep(0)
        cancelled.cancel()

    await first
    await until(lambda: positions(parts.reader) == [1, 2])
    assert (await parts.committer.append(creation(3))).appended.first == 3


async def test_slots_refuse_writes_until_another_is_released(tmp_path: Path) -> None:
    async with open_parts(tmp_path, queue_size=2) as parts:
        take = parts.committer.slots.take
        with take(), take(), pytest.raises(BusyError), take():
            pass
        with take(), take():
            assert parts.committer.slots.taken == 2


async def test_committer_records_waiting_commands_when_it_closes(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as parts:
        with parts.held():
            answers = [parts.begin(creation(n)) for n in range(1, 6)]
            await asyncio.sleep(0)

    assert [(await answer).appended.first for answer in answers] == [1, 2, 3, 4, 5]


async def test_small_content_is_readable_when_its_event_is_committed(parts: Parts) -> None:
    content = await parts.staged(b"meow")

    await parts.committer.append(creation(1), [content])

    opened = await parts.contents.open(digest_of(b"meow"))
    assert opened is not None
    assert opened.size == 4
    await opened.close()


def fail_writes_of(monkeypatch: pytest.MonkeyPatch, poison: bytes, code: int) -> None:
    """Let the disk fail with this error when these bytes are appended to a pack."""
    write = os.pwrite

    def failing(descriptor: int, data: bytes, at: int) -> int:
        if poison in bytes(data):
            write(descriptor, bytes(data)[:20], at)  # a disk may take a part
            raise OSError(code, os.strerror(code))
        return write(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", failing)


async def test_committer_records_no_event_whose_content_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_writes_of(monkeypatch, b"bad", errno.ENOSPC)
    async with open_parts(tmp_path) as parts:
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


def failing_fsync(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # may be late news of a lost page


async def test_feed_reads_the_events_of_the_log_from_memory(parts: Parts) -> None:
    await asyncio.gather(*(parts.committer.append(creation(number)) for number in range(1, 6)))

    for after, limit in [(0, 9), (2, 2), (4, 9), (5, 9)]:
        stored = [Codec().decode(each) for each in parts.reader.read(after, limit)]
        assert parts.feed.read(after, limit) == stored


async def test_feed_reads_the_log_when_events_are_no_longer_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asset_ledger.ledger.reading.feed.RECENT", 4)
    async with open_parts(tmp_path) as parts:
        for number in range(1, 7):
            await parts.committer.append(creation(number))
        reads: list[int] = []
        read = parts.reader.read

        def counted_read(after: int, limit: int, **others: Any) -> Any:
            reads.append(after)
            return read(after, limit, **others)

        monkeypatch.setattr(parts.reader, "read", counted_read)
        for after, limit in [(0, 9), (1, 4), (2, 4), (2, 9), (5, 1), (6, 9)]:
            found = parts.feed.read(after, limit)
            assert found == [Codec().decode(each) for each in read(after, limit)]

    assert reads == [0, 1, 6]  # the other reads found every event in memory


@pytest.mark.parametrize("call", ["write", "fdatasync"])
async def test_committer_refuses_contents_after_a_failed_write_or_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    if call == "write":
        fail_writes_of(monkeypatch, b"bad", errno.EIO)
    else:
        monkeypatch.setattr("asset_ledger.ledger.content.packs.sync_data", failing_fsync)
    async with open_parts(tmp_path) as parts:
        bad, good = await parts.staged(b"bad"), await parts.staged(b"good")
        with pytest.raises(StorageFailedError, match="read-only until a restart"):
            await parts.committer.append(creation(1), [bad])

        with pytest.raises(StorageFailedError, match="read-only until a restart"):
            await parts.committer.append(creation(2), [good])
        assert parts.committer.failure is not None
        assert positions(parts.reader) == []


async def test_committer_answers_unknown_on_an_internal_error_and_commits_the_next_group(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    parts.tables.error = RuntimeError("tables must never raise")
    with pytest.raises(OutcomeUnknownError):
        await parts.committer.append(command(created(originator_id=asset_id(1)), key=command_key()))
    parts.tables.error = None

    retry = command(created(originator_id=asset_id(2)), key=command_key())
    assert (await parts.committer.append(retry)).appended.replayed
    assert "a group of 1 writes failed" in caplog.text


async def test_feed_misses_no_event_while_eight_tasks_write(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as parts:
        seen: list[int] = []

        async def write(writer: int) -> None:
            for number in range(50):
                await parts.committer.append(creation(writer * 1000 + number))

        async def follow() -> None:
            while len(seen) < 400:
                after = seen[-1] if seen else 0
                seen.extend(
                    event.position for event in await asyncio.to_thread(parts.feed.read, after, 7)
                )

        await asyncio.gather(follow(), *(write(n) for n in range(1, 9)))

        assert seen == list(range(1, 401))


async def test_feed_wakes_a_waiting_reader_when_the_log_grows(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as parts:
        waiting = asyncio.create_task(parts.feed.wait_beyond(0))
        await asyncio.sleep(0)
        assert not waiting.done()

        await parts.committer.append(creation(1))

        assert await waiting == 1


async def test_committer_keeps_a_checkpoint_between_two_groups(parts: Parts) -> None:
    with parts.held():
        first = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        kept = asyncio.create_task(parts.committer.keep_checkpoint(1, "signed"))
        await asyncio.sleep(0)
        assert not kept.done()

    assert await kept == "signed"
    assert (await first).appended.first == 1


async def test_committer_commits_commands_after_a_checkpoint_failed(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise StorageFailedError("not today")

    monkeypatch.setattr(parts.log, "keep_checkpoint", fail)
    with pytest.raises(StorageFailedError, match="not today"):
        await parts.committer.keep_checkpoint(1, "signed")

    assert (await parts.committer.append(creation(1))).appended.first == 1


async def test_committer_continues_when_the_caller_of_a_checkpoint_is_cancelled(
    parts: Parts,
) -> None:
    with parts.held():
        first = parts.begin(creation(1))
        await until(lambda: parts.head == 1)
        kept = asyncio.create_task(parts.committer.keep_checkpoint(1, "signed"))
        await asyncio.sleep(0)
        kept.cancel()

    await first
    assert (await parts.committer.append(creation(2))).appended.first == 2
    assert kept.cancelled()
