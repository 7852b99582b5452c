"""aiohttp sessions with one server: one session for each event loop.

Promise: a session is closed at the end of its event loop at the latest.
"""

import asyncio
from collections.abc import Mapping
from typing import Final
from weakref import WeakKeyDictionary

import aiohttp

from asset_ledger.api.sdk.errors import NotConnectedError
from asset_ledger.api.sdk.open_resource import OpenResource

TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)
"""Seconds to connect, and to wait for the next bytes. The whole answer has no limit."""


class Sessions:
    """The sessions with one server, by event loop."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._open: dict[asyncio.AbstractEventLoop, OpenResource[aiohttp.ClientSession]] = {}
        self._answers = WeakKeyDictionary[aiohttp.ClientResponse, asyncio.AbstractEventLoop]()
        self.closed = False

    async def session(self) -> aiohttp.ClientSession:
        """Return the session of the running event loop. Raises NotConnectedError after `close`."""
        if self.closed:
            raise NotConnectedError()
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            # Without this, the closed sessions of ended loops would stay in memory.
            self._open = {old: each for old, each in self._open.items() if not old.is_closed()}
            self._open[loop] = OpenResource(
                aiohttp.ClientSession(headers=self._headers, timeout=TIMEOUT)
            )
        return await self._open[loop].opened()

    def note(self, answer: aiohttp.ClientResponse) -> None:
        """Note an answer whose body may be read while the connection is closed."""
        self._answers[answer] = asyncio.get_running_loop()

    async def close(self) -> None:
        """Close the session of the running event loop; other loops close theirs at their end.

        Every reader of a body is woken, in its own loop: aiohttp would leave it asleep.
        """
        self.closed = True
        for answer, loop in tuple(self._answers.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(answer.close)
        if session := self._open.pop(asyncio.get_running_loop(), None):
            await session.release()
