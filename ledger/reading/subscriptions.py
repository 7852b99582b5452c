"""The latest events, read and told once for all who follow the log as it grows.

Who follows from a position on misses nothing and hears nothing twice: what is no longer kept here
is read from the log.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from asset_ledger.ledger.domain.event import Event, Recorded
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.event_filter import EventFilter
from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.ledger.reading.replay import Replay

KEPT: Final = 4_096
"""How many events are kept at least, once that many were read."""

PAGE: Final = 1_000


class Told(NamedTuple):
    """An event, its position, and the text that all followers are sent of it."""

    position: int
    event: Event
    text: bytes


class Subscriptions:
    """The end of the log, in memory while somebody follows it. For the event loop."""

    def __init__(self, feed: LiveFeed, tell: Callable[[Recorded], bytes]) -> None:
        self._feed, self.tell = feed, tell
        self._told: list[Told] = []
        self._last = feed.head()
        self._reading: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        """Nobody shall follow any more: the service stops."""
        return self._feed.ended

    def after(self, position: int) -> Sequence[Told] | None:
        """What is here of the events after a position; None where the log has to be read."""
        if position >= self._last:
            return ()
        start = position + 1 - (self._last + 1 - len(self._told))
        return None if start < 0 else self._told[start:]

    async def wait_beyond(self, position: int) -> None:
        """Return once the log has events after a position and they were read, or it has ended."""
        head = await self._feed.wait_beyond(position)
        if head - self._last > KEPT:  # nobody followed for a while
            self._told, self._last = [], head - KEPT
        while self._last < head:
            await self._read()

    async def _read(self) -> None:
        """Read on. Who comes while somebody reads waits for the same reading."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_page())
        await asyncio.shield(self._reading)

    async def _read_page(self) -> None:
        told = await asyncio.to_thread(self._told_after, self._last)
        self._told += told
        self._last = told[-1].position
        if len(self._told) > 2 * KEPT:
            del self._told[:-KEPT]

    def _told_after(self, position: int) -> list[Told]:
        recorded = self._feed.read(position, PAGE)
        return [Told(each.position, each.event, self.tell(each)) for each in recorded]


class Subscriber:
    """One who follows: his place in the log, and what he wants of it."""

    def __init__(
        self, tail: Subscriptions, replay: AsyncReplay, wanted: EventFilter, position: int
    ) -> None:
        self._tail, self._replay, self._wanted = tail, replay, wanted
        self._position = position

    async def text(self) -> bytes:
        """The text of the next events, which waits for them; empty where none is wanted.

        Who stops waiting has missed nothing: he asks again.
        """
        told = self._tail.after(self._position)
        if told is None:
            return await self._from_log()
        if not told:
            await self._tail.wait_beyond(self._position)
            told = self._tail.after(self._position) or ()
        if told:
            self._position = told[-1].position
        return b"".join(one.text for one in told if self._wanted.holds(one.event))

    async def _from_log(self) -> bytes:
        events, self._position = await self._replay(
            Replay.events_after, self._wanted, self._position, PAGE
        )
        return b"".join(map(self._tail.tell, events))
