"""The feed: decoded events after a position, in order, for projections, subscribers and audits.

A reader that continues from its last position gets every event exactly once.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from asset_ledger.ledger.domain.event import Recorded, TaggedEvent
from asset_ledger.ledger.domain.ledger import ProjectionSkipped
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import LogReader
from asset_ledger.ledger.log.opening import read_identity

USERS: Final = 10_000
"""The number of users whose last change is known. With one more, all count as changed."""

RECENT: Final = 2_048
"""The number of last events in memory, for projections with little lag: 3 MB, or 64 MB of the
largest metadata."""


class SkippedEvent(NamedTuple):
    """A projection, and the position of an event that it leaves out."""

    projection: str
    position: int


class Feed:
    """The decoded events of a log. Its methods block."""

    def __init__(self, log: LogReader, codec: Codec, log_id: str) -> None:
        self._log, self._codec = log, codec
        self.log_id = log_id

    @classmethod
    def of_log(cls, log: LogReader, codec: Codec) -> Self:
        """Return the feed of a log that has begun. Raises as `read_identity` does."""
        return cls(log, codec, read_identity(log, codec).log_id)

    def head(self) -> int:
        """Return the last position of the log."""
        return self._log.head().position

    def leaf_hash(self, position: int) -> bytes | None:
        """Return the Merkle leaf hash of the event at a position; None if there is no event."""
        return self._log.leaf_hash(position)

    def read(self, after: int, limit: int, *, upto: int | None = None) -> list[Recorded]:
        """Return at most `limit` events after a position. Raises PoisonEventError."""
        return [self._codec.decode(stored) for stored in self._log.read(after, limit, upto=upto)]

    def skips(self) -> frozenset[SkippedEvent]:
        """Return every skipped event, by projection, from the ledger's own stream."""
        stream = self._log.stream(self.log_id, topics=[ProjectionSkipped.TOPIC])
        events = (self._codec.decode(stored).event for stored in stream)
        return frozenset(
            SkippedEvent(event.projection, event.position)
            for event in events
            if isinstance(event, ProjectionSkipped)
        )


class FeedUpTo(Feed):
    """A feed of the log as it was when it ended at `upto`, which the caller may move."""

    upto = 0

    @classmethod
    def of(cls, feed: Feed) -> "FeedUpTo":
        """Return a feed of the same log with `upto` at 0."""
        return cls(feed._log, feed._codec, feed.log_id)

    def end_of_log(self) -> int:
        """Return the last position of the log, also beyond `upto`."""
        return super().head()

    def head(self) -> int:
        """Return `upto`, the last position of this feed."""
        return self.upto

    def read(self, after: int, limit: int, *, upto: int | None = None) -> list[Recorded]:
        """Return at most `limit` events after a position, none beyond `self.upto`."""
        return super().read(after, limit, upto=self.upto if upto is None else min(upto, self.upto))


class LiveFeed(Feed):
    """The feed of a running server, which the committer advances after every commit.

    `advance`, `wait_beyond` and `end` are for the event loop; `head` and `read` for any thread.
    """

    def __init__(self, log: LogReader, codec: Codec, log_id: str) -> None:
        super().__init__(log, codec, log_id)
        self._head = super().head()
        self._grown = asyncio.Event()
        self._recent: list[Recorded | None] = [None] * RECENT
        self._changed: dict[str, int] = {}
        self._all_changed = self._head
        self.ended = False

    def head(self) -> int:
        """Return the last position that the committer reported. Does not block."""
        return self._head

    def read(self, after: int, limit: int, *, upto: int | None = None) -> list[Recorded]:
        """Return at most `limit` events after a position, from memory if all are there."""
        recent = self._from_memory(after, limit) if upto is None else []
        return recent or super().read(after, limit, upto=upto)

    def advance(self, head: int, recorded: Sequence[Recorded] = ()) -> None:
        """Keep the events that were committed up to `head`, and wake the waiting callers."""
        for each in recorded:
            self._recent[each.position % RECENT] = each
            if isinstance(each.event, TaggedEvent):
                self._changed[each.event.user_id] = each.position
            else:
                self._all_changed = each.position
        if head - self._head > len(recorded) or len(self._changed) > USERS:
            self._changed, self._all_changed = {}, head
        self._head = max(self._head, head)
        self._grown.set()
        self._grown = asyncio.Event()

    def changed(self, user_id: str) -> int:
        """Return the last position, up to the head, whose event may have changed the user's assets
        and jobs, or a later one."""
        return max(self._changed.get(user_id, 0), self._all_changed)

    async def wait_beyond(self, position: int) -> int:
        """Wait until the head is above `position` or the feed has ended. Return the head."""
        while self._head <= position and not self.ended:
            await self._grown.wait()
        return self._head

    def end(self) -> None:
        """End the feed and wake all waiting callers, because the server stops."""
        self.ended = True
        self._grown.set()

    def _from_memory(self, after: int, limit: int) -> list[Recorded]:
        found: list[Recorded] = []
        for position in range(after + 1, min(after + limit, self._head) + 1):
            each = self._recent[position % RECENT]
            if each is None or each.position != position:  # overwritten by a newer event
                return []
            found.append(each)
        return found
