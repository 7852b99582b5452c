"""aiohttp sessions: one for each event loop, shared by whatever asks on that loop.

Promise: a session is closed at the end of its event loop at the latest, also where nobody said so.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp

from asset_ledger.api.sdk.open_resource import OpenResource

SILENCE: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)
"""Seconds of silence until a connection is given up; an answer may take as long as it needs."""


class Sessions:
    """The sessions with one server."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._open: dict[asyncio.AbstractEventLoop, OpenResource[aiohttp.ClientSession]] = {}

    async def session(self) -> aiohttp.ClientSession:
        """The session of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            # Loops that ended have closed theirs: kept, each would stay in memory.
            self._open = {old: held for old, held in self._open.items() if not old.is_closed()}
            self._open[loop] = OpenResource(
                aiohttp.ClientSession(headers=self._headers, timeout=SILENCE)
            )
        return await self._open[loop].opened()

    async def close(self) -> None:
        """Close the session of the running event loop."""
        if held := self._open.pop(asyncio.get_running_loop(), None):
            await held.release()
