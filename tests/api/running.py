"""A real server for tests, with a real backend and socket, and a client of it."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping
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
from asset_ledger.api.engine import Engine, FolderEngine
from asset_ledger.api.http.app import Server
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commit.requests import Worker

BOUNDARY = "boundary-of-the-tests"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with its whole body."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def slug(self) -> str:
        """Return the slug of the problem, after checking that the answer is a problem document."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        problem = ProblemOut.model_validate(self.json)
        assert problem.status == self.status
        return problem.type.removeprefix("urn:asset-ledger:")


@dataclass(frozen=True)
class Api:
    """A running server: its address, its backend, and a client session."""

    url: str
    backend: Backend
    session: aiohttp.ClientSession
    server: Server

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        """Send a request to exactly this path: no part is quoted or normalised."""
        if isinstance(options.get("data"), bytes):
            options["data"] = io.BytesIO(options["data"])  # raw bytes would be sent in one write
        async with self.session.request(method, _exactly(self.url + path), **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.call("GET", path, headers=_names(headers))

    async def upload(
        self, content: bytes | None = b"content", *, headers: Mapping[str, str] = {}, **fields: Any
    ) -> Answer:
        """POST a form of a file and its fields to /api/assets/."""
        body = form(content, fields)
        return await self.call("POST", "/api/assets/", data=body, headers={**FORM, **headers})

    async def created(self, content: bytes | None = b"content", **fields: Any) -> Any:
        """Upload an asset and return its JSON."""
        answer = await self.upload(content, **fields)
        assert answer.status == 201, answer.body
        return answer.json

    async def raw(self, sent: bytes, *, half_close: bool = False) -> bytes:
        """Send these bytes; return what the server sends until it closes the connection.

        With `half_close`, the client shuts down its sending side after the bytes.
        """
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(sent)
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(30):  # fails a test that hangs; no test depends on speed
            answer = await reader.read()
        writer.close()
        return answer

    def head(self) -> int:
        """Return the last position of the log."""
        return self.backend.feed.head()

    async def settled(self) -> None:
        """Wait until every projection reflects every recorded event, installed ones included."""
        for runner in self.backend.projections.runners.values():
            await runner.wait_for(self.head(), 60)  # fails a test that hangs


EngineFor = Callable[[Path], Engine | None]
"""Returns the engine of the server of a data folder; None for that of the folder."""

engine_for: EngineFor = FolderEngine
"""With `pytest --engine postgres`, each folder has a database of its own."""


def flags_of(folder: Path) -> list[str | Path]:
    """Return the flags of commands that name the ledger of a folder."""
    url = database_of(folder)
    return ["--data-dir", folder, *(() if url is None else ("--database-url", url))]


def database_of(folder: Path) -> str | None:
    """Return the address of the database of a folder; None if its ledger is in the folder."""
    engine = engine_for(folder)
    return None if engine is None else engine.database


@asynccontextmanager
async def serving(
    settings: Settings, *, patience: float = 60, worker: Worker | None = None
) -> AsyncIterator[Api]:
    """Run a server on a free port. `patience`: the seconds that a client may stall."""
    engine = engine_for(settings.data_dir)
    async with open_backend(settings, worker=worker, engine=engine, is_server=True) as backend:
        server = Server(backend, stall_timeout=patience)
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
    """Return a form of a `file` and a `json` part; None leaves the part out."""
    parts = []
    if content is not None:
        parts.append(part("file", content, filename=filename, content_type="image/png"))
    if fields is not None:
        parts.append(part("json", orjson.dumps(fields)))
    return multipart(*parts)


def part(
    name: str, content: bytes, *, filename: str | None = None, content_type: str | None = None
) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    head += f"\r\nContent-Type: {content_type}" if content_type is not None else ""
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def multipart(*parts: bytes) -> bytes:
    """Return the parts with the closing delimiter."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def stray_files(data_dir: Path) -> list[Path]:
    """Return the files that unfinished uploads left behind."""
    return [path for path in (data_dir / "content" / "tmp").rglob("*") if path.is_file()]


def _names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _exactly(url: str) -> URL:
    return URL(url, encoded=True)
