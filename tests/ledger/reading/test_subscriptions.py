"""Who follows the log misses nothing and hears nothing twice, however he gets to its end."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.reading import subscriptions as tails
from asset_ledger.ledger.reading.event_filter import Heard, Wanted
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.reading.subscriptions import Follower, Tail
from tests.builders import asset_id, command, created


class House:
    """A log, what follows it, and how often the log was read for them."""

    def __init__(self, log: SqliteLog) -> None:
        self.log, self.feed = log, Feed(log, Codec(), "0" * 32)
        self.tail = Tail(self.feed, self.tell)
        self.told = 0
        self._written = 0

    def tell(self, fact: Recorded) -> bytes:
        self.told += 1
        return b"%d " % fact.position

    def write(self, count: int, user_id: str = "1") -> None:
        first, self._written = self._written, self._written + count
        facts = [
            created(originator_id=asset_id(n), user_id=user_id) for n in range(first, first + count)
        ]
        self.log.append([command(fact) for fact in facts], lambda _: None)
        self.feed.grew(self.log.head().position)

    def follower(self, after: int, user_id: str | None = None) -> Follower:
        return Follower(self.tail, self._listen, Wanted(user_id), after)

    async def _listen(self, wanted: Wanted, after: int, limit: int) -> Heard:
        return Replay(self.log, Codec()).events_after(wanted, after, limit)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    log = SqliteLog(tmp_path / "ledger.db", Codec())
    yield log
    log.close()


async def heard(follower: Follower, last: int) -> list[int]:
    """What he hears until the fact at this position."""
    text = b""
    while not text.endswith(b"%d " % last):
        async with asyncio.timeout(30):
            text += await follower.text()
    return [int(position) for position in text.split()]


async def test_many_who_follow_share_one_reading(log: SqliteLog) -> None:
    house = House(log)
    followers = [house.follower(0) for _ in range(5)]
    waiting = [asyncio.create_task(heard(follower, 3)) for follower in followers]
    await asyncio.sleep(0)

    house.write(3)

    assert await asyncio.gather(*waiting) == [[1, 2, 3]] * 5
    assert house.told == 3


async def test_who_comes_late_goes_from_the_log_to_what_is_new(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "KEPT", 4)
    monkeypatch.setattr(tails, "PAGE", 3)
    house = House(log)
    early = house.follower(0)
    for _ in range(4):
        house.write(5)

    assert await heard(early, 20) == list(range(1, 21))
    assert await heard(house.follower(0), 20) == list(range(1, 21))
    assert await heard(house.follower(13), 20) == list(range(14, 21))


async def test_who_waits_for_what_is_not_there_yet_hears_what_comes_after(log: SqliteLog) -> None:
    house = House(log)
    house.write(1)
    ahead = asyncio.create_task(heard(house.follower(3), 4))
    await asyncio.sleep(0)
    house.write(2)
    house.write(1)

    assert await ahead == [4]


async def test_who_stops_waiting_has_missed_nothing(log: SqliteLog) -> None:
    house = House(log)
    follower = house.follower(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await follower.text()
    house.write(2)

    assert await heard(follower, 2) == [1, 2]


async def test_nobody_hears_of_anothers_facts(log: SqliteLog) -> None:
    house = House(log)
    follower = house.follower(0, user_id="1")
    house.write(2, user_id="2")
    house.write(1)

    assert await heard(follower, 3) == [3]


async def test_the_end_of_the_service_is_the_end_of_waiting(log: SqliteLog) -> None:
    house = House(log)
    waiting = asyncio.create_task(house.follower(0).text())
    await asyncio.sleep(0)

    house.feed.end()

    async with asyncio.timeout(30):
        assert await waiting == b""
    assert house.tail.ended
