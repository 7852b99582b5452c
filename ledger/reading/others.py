"""What other servers append to a database, as it reaches a running server.

Each commit notifies every server. A look each second finds what a notification did not report.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import psycopg

from asset_ledger.ledger.errors import LedgerError
from asset_ledger.ledger.log.postgres import CHANNEL
from asset_ledger.ledger.reading.feed import LiveFeed
from asset_ledger.ledger.storage.postgres import LOG, conninfo, reason_of
from asset_ledger.ledger.storage.postgres_waits import connect_async

POLL: Final = 1.0
"""Seconds between two looks without a notification, and after an error."""

_LOOK: Final = f"""SELECT (SELECT coalesce(max(notification_id), 0) FROM {LOG}.stored_events),
    (SELECT max(originator_version) FROM {LOG}.stored_events WHERE originator_id = %s),
    (SELECT generation FROM {LOG}.in_use)"""

logger = logging.getLogger(__name__)


class Others:
    """Advances a feed by the events of other servers, until the feed ends.

    `reflects` gets the generation in use and its position. `changed` is awaited when the ledger's
    own stream has grown, as tokens or keys may have changed; each second, until it returns True.
    """

    def __init__(
        self,
        url: str,
        feed: LiveFeed,
        reflects: Callable[[int, int], None],
        changed: Callable[[], Awaitable[bool]],
    ) -> None:
        self._url, self._feed = url, feed
        self._reflects, self._changed = reflects, changed
        self._version = 0

    async def run(self) -> None:
        """Watch until the feed ends. Connect again after an error."""
        while not self._feed.ended:
            try:
                await self._listen()
            except (psycopg.Error, LedgerError, OSError) as error:
                reason = reason_of(error)
                logger.warning("other servers' events are not seen for a moment: %s", reason)
                await asyncio.sleep(POLL)

    async def _listen(self) -> None:
        async with await connect_async(conninfo(self._url), psycopg.AsyncCursor) as db:
            await db.execute(f"LISTEN {CHANNEL}".encode())
            while not self._feed.ended:
                await self._look(db)
                await self._wait(db)

    async def _wait(self, db: "psycopg.AsyncConnection[Any]") -> None:
        """Wait for an event that this server does not know, at most until it is time to look."""
        due = time.monotonic() + POLL
        while (seconds := due - time.monotonic()) > 0:
            async for note in db.notifies(timeout=seconds, stop_after=1):
                if int(note.payload) > self._feed.head():  # else of this server
                    return

    async def _look(self, db: "psycopg.AsyncConnection[Any]") -> None:
        found = await (await db.execute(_LOOK.encode(), (self._feed.log_id,))).fetchone()
        head, version, generation = found or (0, 0, None)
        if version != self._version and await self._changed():
            self._version = version
        if head > self._feed.head():
            await self._look_at_tables(db, generation)
            self._feed.advance(head)

    async def _look_at_tables(
        self, db: "psycopg.AsyncConnection[Any]", generation: int | None
    ) -> None:
        if generation is None:
            return
        positions = f"SELECT min(position) FROM g{generation}.positions"
        row = await (await db.execute(positions.encode())).fetchone()
        if row is not None and row[0] is not None:
            self._reflects(generation, row[0])
