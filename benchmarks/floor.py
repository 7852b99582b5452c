"""The floors: minimal aiohttp servers for the same requests, without any guarantee.

Write: aiohttp's own multipart reader, sha256, one unsynced file, no database.
Read: one ready-made SQL statement on read-only aiosqlite connections, no parsing, no checks.
Ready: the bytes of files, read before.
Large: asyncio without aiohttp, one file that is hashed, written and synced, and sent by sendfile,
or hashed again.
The first three run on uvloop without an access log. Each prints a line with its address.
"""

import asyncio
import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from io import FileIO
from itertools import cycle
from pathlib import Path
from typing import Final

import aiosqlite
import click
import orjson
import uvloop
from aiohttp import BodyPartReader, web

PIECE: Final = 1 << 20
"""Bytes that the large floor reads at once, at most."""

JSON: Final = "application/json"
PAGE: Final = """SELECT '{{"assets":[' || coalesce(group_concat(json, ','), '') || ']}}'
    FROM (SELECT json FROM assets INDEXED BY assets_by_{tag} WHERE user_id = '1' AND {tag}_id = ?
          AND deleted_at IS NULL AND seq > ? ORDER BY seq LIMIT 50)"""
PAGES: Final = {f"/{tag}": PAGE.format(tag=tag) for tag in ("job", "node", "workflow")}


class WriteFloor:
    """Answers an upload with its digest, after writing its bytes to a file without fsync."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def upload(self, request: web.Request) -> web.Response:
        content, fields = b"", b"{}"
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name == "file":
                content = await part.read()
            else:
                fields = await part.read()
        name = orjson.loads(fields)["name"]
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / digest).write_bytes(content)
        answer = orjson.dumps({"name": name, "digest": digest, "size": len(content)})
        return web.Response(body=answer, status=201, content_type=JSON)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/assets/", self.upload)
        return app


class ReadFloor:
    """Answers `/job?value=...&after=...` with the next 50 assets, joined in SQL."""

    def __init__(self, readers: Iterator[aiosqlite.Connection]) -> None:
        self.readers = readers

    async def page(self, request: web.Request) -> web.Response:
        values = request.query["value"], int(request.query["after"])
        rows = await next(self.readers).execute_fetchall(PAGES[request.path], values)
        ((page,),) = rows
        return web.Response(text=page, content_type=JSON)

    def application(self) -> web.Application:
        app = web.Application()
        for path in PAGES:
            app.router.add_get(path, self.page)
        return app


class ReadyFloor:
    """Answers `/<name>` with the bytes of a file that was read at the start."""

    def __init__(self, folder: Path) -> None:
        self.bodies = {f"/{path.name}": path.read_bytes() for path in folder.glob("ready*")}

    async def body(self, request: web.Request) -> web.Response:
        return web.Response(body=self.bodies[request.path], content_type=JSON)

    def application(self) -> web.Application:
        app = web.Application()
        for path in self.bodies:
            app.router.add_get(path, self.body)
        return app


class LargeFloor:
    """Takes a POST into a file, with its SHA-256 and an fsync. Answers a GET with the file: by
    sendfile, or at the path `/hashed` in pieces that it hashes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "large"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").lower()
        if head.startswith("post"):
            await self.receive(reader, int(head.partition("content-length:")[2].split()[0]))
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        else:
            size = self.path.stat().st_size
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            await writer.drain()
            with self.path.open("rb", buffering=0) as file:
                if "/hashed" in head:
                    await self.send_hashed(file, writer)
                else:
                    await asyncio.get_running_loop().sendfile(writer.transport, file)
        await writer.drain()
        writer.close()

    async def send_hashed(self, file: FileIO, writer: asyncio.StreamWriter) -> None:
        hashed = hashlib.sha256()
        while piece := file.read(PIECE):
            hashed.update(piece)
            writer.write(piece)
            await writer.drain()

    async def receive(self, reader: asyncio.StreamReader, size: int) -> None:
        hashed = hashlib.sha256()
        with self.path.open("wb", buffering=0) as file:
            while size:
                piece = await reader.read(PIECE)
                if not piece:
                    return
                hashed.update(piece)
                file.write(piece)
                size -= len(piece)
            os.fsync(file.fileno())


async def serve_large(folder: Path) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = await asyncio.start_server(LargeFloor(folder).answer, "127.0.0.1", 0, limit=PIECE)
    async with server:
        click.echo(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await stopped.wait()


async def serve(app: web.Application) -> None:
    """Listen on a free port, print the address, and serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    click.echo(f"listening on http://{host}:{port}")
    await stopped.wait()
    await runner.cleanup()


async def serve_pages(uri: str, readers: int) -> None:
    async with AsyncExitStack() as stack:
        connections = [aiosqlite.connect(uri, uri=True) for _ in range(readers)]
        opened = [await stack.enter_async_context(connection) for connection in connections]
        await serve(ReadFloor(cycle(opened)).application())


@click.group()
def main() -> None:
    """A bare aiohttp server to compare the product with."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def write(folder: Path) -> None:
    """Take uploads into FOLDER."""
    uvloop.run(serve(WriteFloor(folder).application()))


@main.command()
@click.argument("database", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--readers", type=click.IntRange(1), required=True, help="Connections to read with.")
def read(database: Path, readers: int) -> None:
    """Answer pages from a DATABASE of the product's tables."""
    uvloop.run(serve_pages(f"{database.absolute().as_uri()}?mode=ro", readers))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def ready(folder: Path) -> None:
    """Answer with the bytes of the files `ready*` in FOLDER."""
    uvloop.run(serve(ReadyFloor(folder).application()))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def large(folder: Path) -> None:
    """Take and send one large file in FOLDER."""
    asyncio.run(serve_large(folder))


if __name__ == "__main__":
    main()
