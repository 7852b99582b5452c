"""The server as tests use it: the real backend, the real protocol, a real socket."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from asset_ledger.api.backend import Backend, open_backend
from asset_ledger.api.contract.shapes import ProblemOut
from asset_ledger.api.http.app import Server
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commit.requests import Worker

BOUNDARY = "boundary-of-the-tests"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@dataclass(frozen=True)
class Answer:
    """An answer, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def slug(self) -> str:
        """Which problem this is; every refusal has to be a problem document."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        problem = ProblemOut.model_validate(self.json)
        assert problem.status == self.status
        return problem.type.removeprefix("urn:asset-ledger:")


@dataclass(frozen=True)
class Api:
    """A running server, by its address, its backend and a session with it."""

    url: str
    backend: Backend
    session: aiohttp.ClientSession
    server: Server

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        """Ask for a path as it is written: nothing of it is quoted or normalised."""
        if isinstance(options.get("data"), bytes):
            options["data"] = io.BytesIO(options["data"])  # bytes would be sent in one piece
        async with self.session.request(method, _exactly(self.url + path), **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.call("GET", path, headers=_names(headers))

    async def upload(
        self, content: bytes | None = b"content", *, headers: Mapping[str, str] = {}, **fields: Any
    ) -> Answer:
        """POST a form of a file and its fields."""
        body = form(content, fields)
        return await self.call("POST", "/api/assets/", data=body, headers={**FORM, **headers})

    async def created(self, content: bytes | None = b"content", **fields: Any) -> Any:
        """The JSON of a new asset."""
        answer = await self.upload(content, **fields)
        assert answer.status == 201, answer.body
        return answer.json

    async def raw(self, sent: bytes, *, hang_up: bool = False) -> bytes:
        """What the server says to these bytes until it closes the connection.

        `hang_up`: the client says that no more will come.
        """
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(sent)
        if hang_up:
            writer.write_eof()
        async with asyncio.timeout(30):  # a hang fails; nothing here is a matter of speed
            answer = await reader.read()
        writer.close()
        return answer

    def head(self) -> int:
        """The last position of the log."""
        return self.backend.feed.head()

    async def settled(self) -> None:
        """Return once every projection reflects all that was recorded, those that follow by themselves
        too: until then their rows and positions move on."""
        for runner in self.backend.projections.runners.values():
            await runner.wait_for(self.head(), 60)  # a hang fails; it is no matter of speed


@asynccontextmanager
async def serving(
    settings: Settings, *, patience: float = 60, worker: Worker | None = None
) -> AsyncIterator[Api]:
    async with open_backend(settings, worker=worker) as backend:
        server = Server(backend, body_timeout=patience)
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = "http://127.0.0.1:{1}".format(*runner.addresses[0])
        try:
            plain = {"Accept-Encoding": "identity"}
            async with aiohttp.ClientSession(auto_decompress=False, headers=plain) as session:
                yield Api(url, backend, session, server)
        finally:
            await runner.cleanup()


def form(content: bytes | None, fields: Mapping[str, Any] | None, filename: str = "a.bin") -> bytes:
    """A form of a `file` and a `json`, either of which may be missing."""
    parts = []
    if content is not None:
        parts.append(part("file", content, filename=filename, content_type="image/png"))
    if fields is not None:
        parts.append(part("json", orjson.dumps(fields)))
    return closed(*parts)


def part(
    name: str, content: bytes, *, filename: str | None = None, content_type: str | None = None
) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    head += f"\r\nContent-Type: {content_type}" if content_type is not None else ""
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def closed(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def stray_files(data_dir: Path) -> list[Path]:
    """Files of uploads that nobody finished."""
    return [path for path in (data_dir / "content" / "tmp").rglob("*") if path.is_file()]


def _names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _exactly(url: str) -> URL:
    return URL(url, encoded=True)
