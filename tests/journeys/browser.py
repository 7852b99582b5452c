"""A page in headless Chromium, controlled over its DevTools protocol.

Debian's `chromium-headless-shell` is enough. Without one, the tests that need it are skipped.
"""

import asyncio
import base64
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
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
    "--enable-unsafe-swiftshader",  # WebGL without a GPU, and without a warning
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
)
_CTRL: Final = 2
_CLICK: Final = ("mousePressed", "mouseReleased")
_DOMAINS: Final = ("Page", "Runtime", "Network", "Log")


@dataclass
class Shared:
    """What all pages of one connection share."""

    socket: aiohttp.ClientWebSocketResponse
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    context: dict[str, Any] = field(default_factory=dict)  # of cookies and storage
    emulated: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # for later pages, too
    fetched: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)  # kinds of those that wait for an answer


class Page:
    """One page, the addresses that it fetched, and the errors and messages of its console.

    `excused` has parts of complaints that a test brings about.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared, self._session, self._target = shared, "", ""
        self.fetched, self.complaints = shared.fetched, shared.complaints
        self.excused = shared.excused

    async def open(self, url: str) -> None:
        """Open this address in a new page, in the place of the one before."""
        before, self._session = self._target, ""
        blank = {"url": "about:blank"} | self._shared.context
        target = await self._call("Target.createTarget", blank)
        self._target = target["targetId"]
        if before:
            await self._call("Target.closeTarget", {"targetId": before})
        attach = {"targetId": self._target, "flatten": True}
        self._session = (await self._call("Target.attachToTarget", attach))["sessionId"]
        for domain in _DOMAINS:
            await self._call(f"{domain}.enable")
        for method, parameters in list(self._shared.emulated.items()):
            await self._call(method, parameters)
        await self._call("Page.navigate", {"url": url})

    async def close(self) -> None:
        """Close the page, if one is open."""
        if not self._target:
            return
        target, self._target, self._session = self._target, "", ""
        await self._call("Target.closeTarget", {"targetId": target})

    async def beside(self, url: str) -> "Page":
        """Open this address in a further page of the same browser; only one is used at a time."""
        page = Page(self._shared)
        await page.open(url)
        return page

    async def once(self, condition: str, then: str) -> Any:
        """Return the value of `then` once `condition` is true. Both are JavaScript expressions."""
        script = f"""new Promise((done) => {{
            const look = () => {condition} && done({then});
            const all = {{ childList: true, subtree: true, attributes: true, characterData: true }};
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

    async def resize(self, width: int, height: int) -> None:
        """Give the page this size in CSS pixels. Below 721 px it is that of a phone."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 721}
        await self._call("Emulation.setDeviceMetricsOverride", metrics)

    async def press(self, key: str, modifiers: int = 0) -> None:
        """Press and release a key, such as "a", "Enter" or " ". Modifiers: 2 is Ctrl, 8 Shift."""
        code = {"Enter": 13, "Escape": 27, "Tab": 9, " ": 32, "Delete": 46}.get(key, 0)
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 and modifiers != _CTRL else "")
        down: dict[str, Any] = {"key": key, "modifiers": modifiers, "windowsVirtualKeyCode": code}
        await self._call("Input.dispatchKeyEvent", {"type": "keyDown", "text": text, **down})
        await self._call("Input.dispatchKeyEvent", {"type": "keyUp", **down})

    async def emulate(self, **features: str) -> None:
        """Set media features, such as prefers_reduced_motion="reduce"."""
        wanted = [
            {"name": name.replace("_", "-"), "value": each} for name, each in features.items()
        ]
        await self._call("Emulation.setEmulatedMedia", {"features": wanted})

    async def private(self) -> None:
        """Use cookies and storage of its own from now on, which no other page has."""
        self._shared.context = await self._call("Target.createBrowserContext")

    async def save_to(self, folder: Path) -> None:
        """Save downloads into a folder, by their names."""
        behaviour = {"behavior": "allow", "downloadPath": str(folder)}
        session, self._session = self._session, ""
        await self._call("Browser.setDownloadBehavior", behaviour | self._shared.context)
        self._session = session

    async def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send a mouse event: `mouseMoved`, `mousePressed`, `mouseReleased` or `mouseWheel`."""
        pressed = {"button": "left", "clickCount": 1} if kind in _CLICK else {}
        event = {"type": kind, "x": x, "y": y} | pressed | more
        await self._call("Input.dispatchMouseEvent", event)

    async def drop(self, *paths: Path) -> None:
        """Drop files and folders in the middle of the upper part of the page."""
        data = {"items": [], "files": [*map(str, paths)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": 400, "y": 300, "data": data}
            await self._call("Input.dispatchDragEvent", event)

    async def insert(self, text: str) -> None:
        """Type a text where the focus is."""
        await self._call("Input.insertText", {"text": text})

    async def picture(self) -> bytes:
        """Return a PNG of what the page shows."""
        answer = await self._call("Page.captureScreenshot", {"format": "png"})
        return base64.b64decode(answer["data"])

    async def answer_dialog(self, *, accept: bool) -> str:
        """Wait until the browser shows a dialog, answer it, and return its kind."""
        async with asyncio.timeout(PATIENCE):
            while not self._shared.dialogs:
                answer = await self._shared.socket.receive_json()
                self._note(answer.get("method"), answer.get("params"))
        await self._call("Page.handleJavaScriptDialog", {"accept": accept})
        return self._shared.dialogs.pop()

    async def command(self, method: str, **parameters: Any) -> Any:
        """Return the answer to another command of the DevTools protocol."""
        return await self._call(method, parameters)

    async def _call(self, method: str, parameters: Mapping[str, Any] | None = None) -> Any:
        if method.startswith("Emulation."):
            self._shared.emulated[method] = parameters or {}
            if not self._session:
                return None
        number = next(self._shared.numbers)
        message = {"id": number, "method": method, "params": parameters or {}}
        await self._shared.socket.send_json(
            message | ({"sessionId": self._session} if self._session else {})
        )
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self._shared.socket.receive_json()
                if answer.get("id") == number:
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
            case "Page.javascriptDialogOpening":
                self._shared.dialogs.append(details["type"])
            case "Runtime.exceptionThrown":
                thrown = details["exceptionDetails"]
                exception = thrown.get("exception", {}).get("description", "")
                self.complaints.append(f"{thrown['text']} {exception}".strip())
            case "Runtime.consoleAPICalled":
                self.complaints.append(str(details["args"]))


@asynccontextmanager
async def browsing(profile: Path) -> AsyncIterator[Page]:
    """Start a browser, yield a page, and end all processes of the browser."""
    with running_browser(profile) as address:
        async with connected(address) as page:
            yield page


@contextmanager
def running_browser(profile: Path) -> Iterator[str]:
    """Start a browser, yield the address of its protocol, and end all of its processes."""
    assert INSTALLED is not None
    process = subprocess.Popen(
        [INSTALLED, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield _address(profile / "DevToolsActivePort")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Page]:
    """Yield a page of a running browser."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address, max_msg_size=0) as socket,
    ):
        page = Page(Shared(socket))
        yield page
        await page.close()


def _address(file: Path) -> str:
    """Return the address that the browser writes into a file: the port, and the path."""
    until(lambda: file.exists() and len(file.read_text().split()) == 2, "the browser listens")
    port, path = file.read_text().split()
    return f"ws://127.0.0.1:{port}{path}"
