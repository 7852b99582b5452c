"""Recorded events after a position, in order, decoded: what projections and audits are made from.

A reader that reads on from its last position misses nothing and sees nothing twice.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.domain.ledger import ProjectionSkipped
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import LogReader

RECENT: Final = 8_192
"""How many of the last events stay in memory for projections that follow closely: some ten
megabytes, and two seconds of a busy server."""


class Skip(NamedTuple):
    """A projection, and the position of an event that it goes on without."""

    projection: str
    position: int


class Feed:
    """The log, read and decoded. Blocks."""

    def __init__(self, log: LogReader, codec: Codec, log_id: str) -> None:
        self._log, self._codec = log, codec
        self.log_id = log_id

    def head(self) -> int:
        """The last position of the log."""
        return self._log.head().position

    def leaf_hash(self, position: int) -> bytes | None:
        """The Merkle leaf hash of the event at a position; None if there is no such event."""
        return self._log.leaf_hash(position)

    def read(self, after: int, limit: int, *, upto: int | None = None) -> list[Recorded]:
        """The next `limit` events after a position. Raises PoisonEventError if one is unreadable."""
        return [self._codec.decode(stored) for stored in self._log.read(after, limit, upto=upto)]

    def skips(self) -> frozenset[Skip]:
        """Every event that was set aside, by projection, from the ledger's own stream."""
        events = (
            self._codec.decode(stored).event
            for stored in self._log.stream(self.log_id)
            if stored.topic == ProjectionSkipped.TOPIC
        )
        return frozenset(
            Skip(event.projection, event.position)
            for event in events
            if isinstance(event, ProjectionSkipped)
        )


class FeedUpTo(Feed):
    """The log as it was when it ended at `upto`, which may be moved."""

    upto = 0

    @classmethod
    def of(cls, feed: Feed) -> "FeedUpTo":
        """The log of another feed, from its beginning to none of it."""
        return cls(feed._log, feed._codec, feed.log_id)

    def end_of_log(self) -> int:
        """The last position of the log, beyond `upto` too."""
        return super().head()

    def head(self) -> int:
        """The last position that `read` answers."""
        return self.upto

    def read(self, after: int, limit: int, *, upto: int | None = None) -> list[Recorded]:
        """The next events, none of them beyond `self.upto`."""
        return super().read(after, limit, upto=self.upto if upto is None else min(upto, self.upto))


class LiveFeed(Feed):
    """The log of a running server, which the committer tells of every commit.

    `grew`, `wait_beyond` and `end` are for the event loop; `head` and `read` for any thread.
    """

    def __init__(self, log: LogReader, codec: Codec, log_id: str) -> None:
        super().__init__(log, codec, log_id)
        self._head = super().head()
        self._grown = asyncio.Event()
        self._recent: list[Recorded | None] = [None] * RECENT
        self.ended = False

    def head(self) -> int:
        """The last position that the committer has told of. Does not block."""
        return self._head

    def read(self, after: int, limit: int, *, upto: int | None = None) -> list[Recorded]:
        """The next `limit` events after a position, from memory if they are all there."""
        remembered = self._remembered(after, limit) if upto is None else []
        return remembered or super().read(after, limit, upto=upto)

    def advance(self, head: int, recorded: Sequence[Recorded] = ()) -> None:
        """Note the events that were committed up to `head`, and wake those who wait for them."""
        for each in recorded:
            self._recent[each.position % RECENT] = each
        self._head = max(self._head, head)
        self._grown.set()
        self._grown = asyncio.Event()

    async def wait_beyond(self, position: int) -> int:
        """The head, once it is above `position`, or once the feed has ended."""
        while self._head <= position and not self.ended:
            await self._grown.wait()
        return self._head

    def end(self) -> None:
        """Wake all waiting callers, for good: the service stops."""
        self.ended = True
        self._grown.set()

    def _remembered(self, after: int, limit: int) -> list[Recorded]:
        found: list[Recorded] = []
        for position in range(after + 1, min(after + limit, self._head) + 1):
            each = self._recent[position % RECENT]
            if each is None or each.position != position:  # an older one, or by now a newer one
                return []
            found.append(each)
        return found
