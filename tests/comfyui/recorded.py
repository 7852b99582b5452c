"""A server that answers as a real ComfyUI did: `recorded.json`, which `real.py` wrote."""

import asyncio
import json
import os
from base64 import b64decode
from collections.abc import Coroutine, Mapping
from pathlib import Path
from threading import Thread
from typing import Any, Final, Self, TypeVar

from aiohttp import WSMsgType, web

RECORDED: Final = Path(__file__).with_name("recorded.json")

T = TypeVar("T")


def answers() -> Mapping[str, Any]:
    """Return what was recorded: the prompts by name, and the files by their paths."""
    found: Mapping[str, Any] = json.loads(RECORDED.read_text("utf-8"))
    return found


class RecordedComfyUI:
    """A ComfyUI whose prompts end when a test says so. `folder` has its files.

    It runs in a thread, in a `with` block, and can be stopped and started again.
    """

    def __init__(self, folder: Path) -> None:
        self._answers, self.folder = answers(), folder
        self._sockets: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None
        self._loop = asyncio.new_event_loop()
        self.port = 0
        self.history: dict[str, Any] = {}
        self.requests: list[str] = []
        for name, content in self._answers["files"].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b64decode(content))
            os.utime(folder / name, (self._answers["made"],) * 2)

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def id_of(self, name: str) -> str:
        """Return the id of a recorded prompt."""
        return str(self._answers["prompts"][name]["id"])

    def started(self, name: str) -> float:
        """Return when a recorded prompt started, in seconds since 1970."""
        messages = dict(self._answers["prompts"][name]["entry"]["status"]["messages"])
        return float(messages["execution_start"]["timestamp"]) / 1_000

    def finish(self, *names: str, **changes: Any) -> None:
        """End recorded prompts: add their entries to the history, and tell clients of the queue."""
        for name in names:
            prompt = self._answers["prompts"][name]
            self.history[prompt["id"]] = {**prompt["entry"], **changes}
        self._do(self._tell())

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._do(self._start())

    def stop(self) -> None:
        """Close every connection, and forget the history, as the end of ComfyUI does."""
        self._do(self._stop())
        self.history.clear()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self) -> None:
        app = web.Application()
        routes = [
            web.get("/history", self._history),
            web.get("/view", self._view),
            web.get("/ws", self._socket),
        ]
        app.add_routes(routes)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        for socket in tuple(self._sockets):
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _tell(self) -> None:
        for socket in tuple(self._sockets):
            await socket.send_json({"type": "status", "data": {"status": {"exec_info": {}}}})

    async def _history(self, request: web.Request) -> web.Response:
        self.requests.append(str(request.rel_url))
        most = int(request.query.get("max_items", len(self.history)))
        offset = int(request.query.get("offset", len(self.history) - most))
        entries = list(self.history.items())[max(offset, 0) :][:most]
        return web.json_response(dict(entries))

    async def _view(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(str(request.rel_url))
        folder = self.folder / request.query["type"] / request.query["subfolder"]
        path = folder / request.query["filename"]
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        await socket.send_json({"type": "status", "data": {"status": {}, "sid": "1"}})
        async for message in socket:
            assert message.type is WSMsgType.TEXT
        self._sockets.discard(socket)
        return socket
