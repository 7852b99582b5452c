"""A page in headless Chromium, controlled over its DevTools protocol.

Debian's `chromium-headless-shell` is enough. Without one, the tests that need it are skipped.
"""

import asyncio
import base64
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
    "--no-sandbox",  # without this Chromium does not start as root, as in CI
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
)
_CODES: Final = {
    "Enter": 13, "Escape": 27, "Tab": 9, "Home": 36, "End": 35, "PageUp": 33, "PageDown": 34,
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Delete": 46, "/": 191,
}  # fmt: skip
_DOMAINS: Final = ("Page", "Runtime", "Network", "Log")


class Page:
    """One page, the addresses that it fetched, and the errors and messages of its console."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._session, self._target, self._number = socket, "", "", 0
        self._emulated: dict[str, dict[str, Any]] = {}
        self.fetched: list[str] = []
        self.complaints: list[str] = []

    async def open(self, url: str) -> None:
        """Open this address in a new page, in the place of the one before.

        Every visible page of the console has a stream, and a browser opens six connections only.
        """
        before, self._session = self._target, ""
        target = await self._call("Target.createTarget", {"url": "about:blank"})
        self._target = target["targetId"]
        if before:
            await self._call("Target.closeTarget", {"targetId": before})
        attach = {"targetId": self._target, "flatten": True}
        self._session = (await self._call("Target.attachToTarget", attach))["sessionId"]
        for domain in _DOMAINS:
            await self._call(f"{domain}.enable")
        for method, settings in self._emulated.items():
            await self._call(method, settings)
        await self._call("Page.navigate", {"url": url})

    async def once(self, condition: str, then: str) -> Any:
        """Return the value of `then` once `condition` is true. Both are JavaScript expressions."""
        script = f"""new Promise((done) => {{
            const look = () => {condition} && done({then});
            const all = {{ childList: true, subtree: true, attributes: true }};
            new MutationObserver(look).observe(document, all);
            look();
        }})"""
        return await self.run(script)

    async def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        evaluation = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = await self._call("Runtime.evaluate", evaluation)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def resize(self, width: int, height: int, *, touch: bool = False) -> None:
        """Show this and every later page at this size in CSS pixels; `touch`: as on a phone."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        await self._emulate("Emulation.setDeviceMetricsOverride", size)
        await self._emulate("Emulation.setTouchEmulationEnabled", {"enabled": touch})

    async def prefer(self, **features: str) -> None:
        """Set media features: `prefers_color_scheme="dark"`, `forced_colors="active"` ..."""
        named = [{"name": n.replace("_", "-"), "value": value} for n, value in features.items()]
        await self._emulate("Emulation.setEmulatedMedia", {"features": named})

    async def _emulate(self, method: str, settings: dict[str, Any]) -> None:
        self._emulated[method] = settings
        if self._session:
            await self._call(method, settings)

    async def press(self, key: str, *, control: bool = False, shift: bool = False) -> None:
        """Press and release a key, named as in `KeyboardEvent.key`."""
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 and not control else "")
        event = {"key": key, "modifiers": 2 * control + 8 * shift}
        event |= {"windowsVirtualKeyCode": _CODES.get(key, ord(key[0].upper()))}
        down = {"type": "keyDown" if text else "rawKeyDown"} | ({"text": text} if text else {})
        await self._call("Input.dispatchKeyEvent", event | down)
        await self._call("Input.dispatchKeyEvent", event | {"type": "keyUp"})

    async def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send a mouse event: `mouseMoved`, `mousePressed`, `mouseReleased`, `mouseWheel`."""
        pressed = {"button": "left", "clickCount": 1} if kind.endswith("ed") else {}
        pressed = {} if kind == "mouseMoved" else pressed
        event = {"type": kind, "x": x, "y": y} | pressed | more
        await self._call("Input.dispatchMouseEvent", event)

    async def insert(self, text: str) -> None:
        """Type a text where the focus is."""
        await self._call("Input.insertText", {"text": text})

    async def picture(self) -> bytes:
        """Return a PNG of what the page shows."""
        answer = await self._call("Page.captureScreenshot", {"format": "png"})
        return base64.b64decode(answer["data"])

    async def _call(self, method: str, parameters: Mapping[str, Any] | None = None) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters or {}}
        await self._socket.send_json(
            message | ({"sessionId": self._session} if self._session else {})
        )
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self._socket.receive_json()
                if answer.get("id") == self._number:
                    assert "error" not in answer, answer
                    return answer["result"]
                self._note(answer.get("method"), answer.get("params"))

    def _note(self, event: str | None, details: Any) -> None:
        match event:
            case "Network.requestWillBeSent":
                self.fetched.append(details["request"]["url"])
            case "Log.entryAdded":
                entry = details["entry"]
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}".strip())
            case "Runtime.exceptionThrown":
                thrown = details["exceptionDetails"]
                exception = thrown.get("exception", {}).get("description", "")
                self.complaints.append(f"{thrown['text']} {exception}".strip())
            case "Runtime.consoleAPICalled":
                self.complaints.append(str(details["args"]))


@asynccontextmanager
async def browsing(profile: Path) -> AsyncIterator[Page]:
    """Start a browser, yield a page, and end all processes of the browser."""
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


def _address(file: Path) -> str:
    """Return the address that the browser writes into a file: the port, and the path."""
    until(lambda: file.exists() and len(file.read_text().split()) == 2, "the browser listens")
    port, path = file.read_text().split()
    return f"ws://127.0.0.1:{port}{path}"
