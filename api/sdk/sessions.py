"""aiohttp sessions: one for each event loop, shared by whatever asks on that loop.

Promise: a session is closed at the end of its event loop at the latest, also where nobody said so.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Final
from weakref import WeakKeyDictionary

import aiohttp

PATIENCE: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)
"""Seconds of silence until a connection is given up; an answer may take as long as it needs."""


class Sessions:
    """The sessions with one server."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._open: WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[aiohttp.ClientSession, AsyncGenerator[None]]
        ] = WeakKeyDictionary()

    async def session(self) -> aiohttp.ClientSession:
        """The session of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            session = aiohttp.ClientSession(headers=self._headers, timeout=PATIENCE)
            holder = _held(session)
            self._open[loop] = session, holder
            await anext(holder)
        return self._open[loop][0]

    async def close(self) -> None:
        """Close the session of the running event loop."""
        if opened := self._open.pop(asyncio.get_running_loop(), None):
            await opened[1].aclose()


async def _held(session: aiohttp.ClientSession) -> AsyncGenerator[None]:
    """A loop that ends closes the generators that were begun on it, and this one its session."""
    try:
        yield
    finally:
        await session.close()
