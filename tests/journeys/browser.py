"""A page in a real browser: Chromium without a window, spoken to in its own DevTools protocol.

Debian's `chromium-headless-shell` is enough. Where none is installed, tests that need it are
skipped, and say so.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.journeys.server import PATIENCE, until

NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
INSTALLED: Final = next((path for name in NAMES if (path := shutil.which(name))), None)

needs_browser = pytest.mark.skipif(
    INSTALLED is None, reason="no Chromium here: apt-get install chromium-headless-shell"
)

_FLAGS: Final = (
    "--headless",
    "--no-sandbox",  # root, as which CI runs, has none; and the page is our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
)
_DOMAINS: Final = ("Page", "Runtime", "Network", "Log")


class Page:
    """One page: what it fetched, and what its console said, from its first byte on."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._session, self._number = socket, "", 0
        self.fetched: list[str] = []
        self.complaints: list[str] = []

    async def open(self, url: str) -> None:
        """Open this address in a new page."""
        target = await self._ask("Target.createTarget", {"url": "about:blank"})
        wanted = {"targetId": target["targetId"], "flatten": True}
        self._session = (await self._ask("Target.attachToTarget", wanted))["sessionId"]
        for domain in _DOMAINS:
            await self._ask(f"{domain}.enable")
        await self._ask("Page.navigate", {"url": url})

    async def once(self, condition: str, then: str) -> Any:
        """What one expression comes to, once another is true: looked at after every change."""
        script = f"""new Promise((done) => {{
            const look = () => {condition} && done({then});
            const all = {{ childList: true, subtree: true, attributes: true }};
            new MutationObserver(look).observe(document, all);
            look();
        }})"""
        return await self.run(script)

    async def run(self, script: str) -> Any:
        """What an expression comes to."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = await self._ask("Runtime.evaluate", asked)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def _ask(self, method: str, parameters: Mapping[str, Any] | None = None) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters or {}}
        await self._socket.send_json(
            message | ({"sessionId": self._session} if self._session else {})
        )
        async with asyncio.timeout(PATIENCE):
            while True:
                said = await self._socket.receive_json()
                if said.get("id") == self._number:
                    assert "error" not in said, said
                    return said["result"]
                self._note(said.get("method"), said.get("params"))

    def _note(self, event: str | None, said: Any) -> None:
        match event:
            case "Network.requestWillBeSent":
                self.fetched.append(said["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(said["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(said["exceptionDetails"]["text"])
            case "Runtime.consoleAPICalled":
                self.complaints.append(str(said["args"]))


@asynccontextmanager
async def browsing(profile: Path) -> AsyncIterator[Page]:
    """A page of a browser of its own, which is gone after the block with all its processes."""
    assert INSTALLED is not None
    process = subprocess.Popen(
        [INSTALLED, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(_address(profile / "DevToolsActivePort"), max_msg_size=0) as socket,
        ):
            yield Page(socket)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def _address(told: Path) -> str:
    """Where it listens, as it says in a file of its profile: the port, and the path."""
    until(lambda: told.exists() and len(told.read_text().split()) == 2, "the browser listens")
    port, path = told.read_text().split()
    return f"ws://127.0.0.1:{port}{path}"
