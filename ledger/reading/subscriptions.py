"""The end of the log in memory, each event encoded once for all subscribers.

A subscriber gets every event after its position exactly once: older events are read from the log.
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
"""The number of last events to keep in memory at least, unless they are large."""

KEPT_BYTES: Final = 8 * 2**20
"""Bytes of their texts to keep in memory; twice as many at most."""

PAGE: Final = 64
"""Events to read at a time: up to 2 MB."""

MOST: Final = 1_000
PIECE: Final = 2**18
"""Events that a subscriber gets together from the log, and their bytes, about."""


class EncodedEvent(NamedTuple):
    """An event, its position, and its text for all subscribers."""

    position: int
    event: Event
    text: bytes


class Subscriptions:
    """The last events of the log, kept while there are subscribers. For the event loop."""

    def __init__(self, feed: LiveFeed, encode: Callable[[Recorded], bytes]) -> None:
        self._feed, self.encode = feed, encode
        self._events: list[EncodedEvent] = []
        self._last, self._bytes = feed.head(), 0
        self._reading: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the server stops, so that subscribers have to leave."""
        return self._feed.ended

    def after(self, position: int) -> Sequence[EncodedEvent] | None:
        """Return the events in memory after a position; None if the log has to be read."""
        if position >= self._last:
            return ()
        start = position + 1 - (self._last + 1 - len(self._events))
        return None if start < 0 else self._events[start:]

    async def wait_beyond(self, position: int) -> None:
        """Wait until events after a position are in memory, or the feed has ended."""
        head = await self._feed.wait_beyond(position)
        if head - self._last > KEPT:  # there was no subscriber for a while
            self._events, self._last, self._bytes = [], head - KEPT, 0
        while self._last < head:
            await self._read()

    async def _read(self) -> None:
        """Read the next page. Concurrent callers share one read."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_page())
        await asyncio.shield(self._reading)

    async def _read_page(self) -> None:
        events = await asyncio.to_thread(self._encoded_after, self._last)
        self._events += events
        self._last = events[-1].position
        self._bytes += sum(len(each.text) for each in events)
        if len(self._events) > 2 * KEPT or self._bytes > 2 * KEPT_BYTES:
            self._forget()

    def _forget(self) -> None:
        """Forget the oldest events, and keep at most `KEPT` of `KEPT_BYTES`."""
        kept = size = 0
        for each in reversed(self._events[-KEPT:]):
            size += len(each.text)
            if size > KEPT_BYTES:
                break
            kept, self._bytes = kept + 1, size
        del self._events[: len(self._events) - kept]

    def _encoded_after(self, position: int) -> list[EncodedEvent]:
        recorded = self._feed.read(position, PAGE)
        return [EncodedEvent(each.position, each.event, self.encode(each)) for each in recorded]


class Subscriber:
    """A subscriber: its position and its filter."""

    def __init__(
        self, latest: Subscriptions, replay: AsyncReplay, event_filter: EventFilter, position: int
    ) -> None:
        self._latest, self._replay = latest, replay
        self._filter, self._position = event_filter, position

    async def text(self) -> bytes:
        """Wait for the next events and return their text; empty if none of them matches.

        A call that is cancelled loses nothing: the next one returns the same events.
        """
        events = self._latest.after(self._position)
        if events is None:
            return await self._from_log()
        if not events:
            await self._latest.wait_beyond(self._position)
            events = self._latest.after(self._position) or ()
        texts, size = [], 0
        for each in events:
            self._position = each.position
            if self._filter.holds(each.event):
                texts.append(each.text)
                size += len(each.text)
            if size >= PIECE:
                break
        return b"".join(texts)

    async def _from_log(self) -> bytes:
        def read(replay: Replay) -> tuple[bytes, int]:
            events, following = replay.events_after(self._filter, self._position, MOST, PIECE)
            return b"".join(map(self._latest.encode, events)), following

        text, self._position = await self._replay(read)
        return text
