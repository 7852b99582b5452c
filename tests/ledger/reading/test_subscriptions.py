"""Who follows the log misses nothing and hears nothing twice, however he gets to its end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.reading import subscriptions as tails
from asset_ledger.ledger.reading.event_filter import EventFilter
from asset_ledger.ledger.reading.subscriptions import Subscriber, Subscriptions
from tests.builders import asset_id, command, created
from tests.ledger.parts import Parts, open_parts


class Following:
    """A log that grows, its subscribers, and how often an event was encoded for them."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._written = parts, 0
        self.tail = Subscriptions(parts.feed, self.tell)
        self.told = 0

    def tell(self, event: Recorded) -> bytes:
        self.told += 1
        return b"%d " % event.position

    async def write(self, count: int, user_id: str = "1") -> None:
        first, self._written = self._written, self._written + count
        for n in range(first, first + count):
            event = created(originator_id=asset_id(n), user_id=user_id)
            await self._parts.committer.append(command(event))

    def end(self) -> None:
        self._parts.feed.end()

    def follower(self, after: int, user_id: str | None = None) -> Subscriber:
        return Subscriber(self.tail, self._parts.replay, EventFilter(user_id), after)


@pytest.fixture
async def following(tmp_path: Path) -> AsyncIterator[Following]:
    async with open_parts(tmp_path) as parts:
        yield Following(parts)


async def heard(follower: Subscriber, last: int) -> list[int]:
    """What he hears until the event at this position."""
    text = b""
    while not text.endswith(b"%d " % last):
        async with asyncio.timeout(30):
            text += await follower.text()
    return [int(position) for position in text.split()]


async def test_many_who_follow_share_one_reading(following: Following) -> None:
    followers = [following.follower(0) for _ in range(5)]
    waiting = [asyncio.create_task(heard(follower, 3)) for follower in followers]
    await asyncio.sleep(0)

    await following.write(3)

    assert await asyncio.gather(*waiting) == [[1, 2, 3]] * 5
    assert following.told == 3


async def test_who_comes_late_goes_from_the_log_to_what_is_new(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "KEPT", 4)
    monkeypatch.setattr(tails, "PAGE", 3)
    early = following.follower(0)
    for _ in range(4):
        await following.write(5)

    assert await heard(early, 20) == list(range(1, 21))
    assert await heard(following.follower(0), 20) == list(range(1, 21))
    assert await heard(following.follower(13), 20) == list(range(14, 21))


async def test_who_waits_for_what_is_not_there_yet_hears_what_comes_after(
    following: Following,
) -> None:
    await following.write(1)
    ahead = asyncio.create_task(heard(following.follower(3), 4))
    await asyncio.sleep(0)
    await following.write(2)
    await following.write(1)

    assert await ahead == [4]


async def test_who_stops_waiting_has_missed_nothing(following: Following) -> None:
    follower = following.follower(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await follower.text()
    await following.write(2)

    assert await heard(follower, 2) == [1, 2]


async def test_nobody_hears_of_anothers_events(following: Following) -> None:
    follower = following.follower(0, user_id="1")
    await following.write(2, user_id="2")
    await following.write(1)

    assert await heard(follower, 3) == [3]


async def test_the_end_of_the_service_is_the_end_of_waiting(following: Following) -> None:
    waiting = asyncio.create_task(following.follower(0).text())
    await asyncio.sleep(0)

    following.end()

    async with asyncio.timeout(30):
        assert await waiting == b""
    assert following.tail.ended
