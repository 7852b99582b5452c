"""Recorded facts after a position, in order, decoded: what projections and audits are made from.

Whoever reads from its last position on misses nothing and sees nothing twice.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import LogReader, Tag
from asset_ledger.ledger.reading.skips import Skipped, read_skips

KEPT: Final = 8_192
"""How many of the facts that were recorded last stay in memory, for those who follow closely: some
ten megabytes, and two seconds of a busy server."""


class Feed:
    """The log, read. `read` and its neighbours block; `wait_beyond` is for the event loop."""

    def __init__(self, log: LogReader, codec: Codec, log_id: str) -> None:
        self._log = log
        self._codec = codec
        self.log_id = log_id
        self._position = log.head().position
        self._grown = asyncio.Event()
        self._recent: list[Recorded | None] = [None] * KEPT
        self.ended = False

    def head(self) -> int:
        """The last position of the log."""
        return self._log.head().position

    def leaf_hash(self, position: int) -> bytes | None:
        """The Merkle leaf hash of the fact at a position; None if there is no such fact."""
        return self._log.leaf_hash(position)

    def read(
        self, after: int, limit: int, *, tag: Tag | None = None, upto: int | None = None
    ) -> list[Recorded]:
        """The next `limit` facts after a position. Raises PoisonFactError for an unreadable one."""
        if tag is None and upto is None and (recent := self._remembered(after, limit)):
            return recent
        stored = self._log.read(after, limit, tag=tag, upto=upto)
        return [self._codec.decode(notification) for notification in stored]

    def skips(self) -> Skipped:
        """Every projection and position that was set aside, wherever the log says so."""
        return read_skips(self._log, self._codec, self.log_id)

    def grew(self, position: int, recorded: Sequence[Recorded] = ()) -> None:
        """The log was committed up to `position`: wake those who wait. Called on the loop.

        `recorded` are the facts that did it, for those who follow closely: to read and decode
        them costs as much as all that a view makes of them.
        """
        for each in recorded:
            self._recent[each.position % KEPT] = each
        self._position = max(self._position, position)
        self._grown.set()
        self._grown = asyncio.Event()

    def _remembered(self, after: int, limit: int) -> list[Recorded]:
        """The next facts, if all of them are in memory. From any thread."""
        found: list[Recorded] = []
        for position in range(after + 1, min(after + limit, self._position) + 1):
            each = self._recent[position % KEPT]
            if each is None or each.position != position:  # an older one, or by now a newer one
                return []
            found.append(each)
        return found

    async def wait_beyond(self, position: int) -> int:
        """The log's last position, once it is above `position`, or nobody shall wait any more."""
        while self._position <= position and not self.ended:
            await self._grown.wait()
        return self._position

    def end(self) -> None:
        """Wake all who wait, for good: the service stops. Called on the loop."""
        self.ended = True
        self._grown.set()


class FeedUpTo(Feed):
    """The log as it was when it ended at `upto`, which may be moved."""

    upto = 0

    @classmethod
    def of(cls, feed: Feed) -> "FeedUpTo":
        """The log of another feed, from its beginning to none of it."""
        return cls(feed._log, feed._codec, feed.log_id)

    def end_of_log(self) -> int:
        """The last position that there is, whatever is told of."""
        return super().head()

    def head(self) -> int:
        """The last position that is told of."""
        return self.upto

    def read(
        self, after: int, limit: int, *, tag: Tag | None = None, upto: int | None = None
    ) -> list[Recorded]:
        """The next facts, none of them beyond `upto`."""
        last = self.upto if upto is None else min(upto, self.upto)
        return super().read(after, limit, tag=tag, upto=last)
