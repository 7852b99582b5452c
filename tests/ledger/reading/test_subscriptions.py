"""A subscriber gets every event once, from the log or from memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.reading import subscriptions as module
from asset_ledger.ledger.reading.event_filter import EventFilter
from asset_ledger.ledger.reading.subscriptions import Subscriber, Subscriptions
from tests.builders import asset_id, command, created
from tests.ledger.parts import Parts, open_parts


class GrowingLog:
    """A log that grows, its subscribers, and how often an event was encoded for them."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._written = parts, 0
        self.subscriptions = Subscriptions(parts.feed, self._encode)
        self.encoded = 0

    def _encode(self, event: Recorded) -> bytes:
        self.encoded += 1
        return b"%d " % event.position

    async def write(self, count: int, user_id: str = "1") -> None:
        first, self._written = self._written, self._written + count
        for n in range(first, first + count):
            event = created(originator_id=asset_id(n), user_id=user_id)
            await self._parts.committer.append(command(event))

    def end(self) -> None:
        self._parts.feed.end()

    def subscriber(self, after: int, user_id: str | None = None) -> Subscriber:
        return Subscriber(self.subscriptions, self._parts.replay, EventFilter(user_id), after)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[GrowingLog]:
    async with open_parts(tmp_path) as parts:
        yield GrowingLog(parts)


async def received(subscriber: Subscriber, last: int) -> list[int]:
    """Return the positions that a subscriber gets, up to the event at position `last`."""
    text = b""
    while not text.endswith(b"%d " % last):
        async with asyncio.timeout(30):
            text += await subscriber.text()
    return [int(position) for position in text.split()]


async def test_subscribers_share_one_read_and_one_encoding(log: GrowingLog) -> None:
    subscribers = [log.subscriber(0) for _ in range(5)]
    waiting = [asyncio.create_task(received(each, 3)) for each in subscribers]
    await asyncio.sleep(0)

    await log.write(3)

    assert await asyncio.gather(*waiting) == [[1, 2, 3]] * 5
    assert log.encoded == 3


async def test_late_subscriber_gets_older_events_from_the_log_and_then_new_ones(
    log: GrowingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 4)
    monkeypatch.setattr(module, "PAGE", 3)
    early = log.subscriber(0)
    for _ in range(4):
        await log.write(5)

    assert await received(early, 20) == list(range(1, 21))
    assert await received(log.subscriber(0), 20) == list(range(1, 21))
    assert await received(log.subscriber(13), 20) == list(range(14, 21))


async def test_subscriber_ahead_of_the_log_gets_the_events_after_its_position(
    log: GrowingLog,
) -> None:
    await log.write(1)
    ahead = asyncio.create_task(received(log.subscriber(3), 4))
    await asyncio.sleep(0)
    await log.write(2)
    await log.write(1)

    assert await ahead == [4]


async def test_subscriber_misses_no_event_when_a_wait_is_cancelled(log: GrowingLog) -> None:
    subscriber = log.subscriber(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await subscriber.text()
    await log.write(2)

    assert await received(subscriber, 2) == [1, 2]


async def test_subscriber_gets_no_event_of_another_user(log: GrowingLog) -> None:
    subscriber = log.subscriber(0, user_id="1")
    await log.write(2, user_id="2")
    await log.write(1)

    assert await received(subscriber, 3) == [3]


async def test_subscriber_stops_waiting_when_the_feed_ends(log: GrowingLog) -> None:
    waiting = asyncio.create_task(log.subscriber(0).text())
    await asyncio.sleep(0)

    log.end()

    async with asyncio.timeout(30):
        assert await waiting == b""
    assert log.subscriptions.ended
