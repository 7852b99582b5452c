"""The floors: the least that a server written with aiohttp could do, without a single promise.

Write: aiohttp's own multipart reader, sha256, one unsynced file, no database.
Read: one ready-made SQL statement on read-only aiosqlite connections, no parsing, no checks.
Both run on uvloop without an access log and print one line with their address when they are ready.
"""

import asyncio
import hashlib
from pathlib import Path

import click
import orjson
import uvloop
from aiohttp import BodyPartReader, web

JSON = "application/json"


class WriteFloor:
    """Answers an upload with its digest, once its bytes are in a file that nobody has synced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def upload(self, request: web.Request) -> web.Response:
        content, fields = b"", b"{}"
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name == "file":
                content = bytes(await part.read())
            else:
                fields = bytes(await part.read())
        name = orjson.loads(fields)["name"]
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / digest).write_bytes(content)
        answer = orjson.dumps({"name": name, "digest": digest, "size": len(content)})
        return web.Response(body=answer, status=201, content_type=JSON)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/assets/", self.upload)
        return app


async def serve(app: web.Application) -> None:
    """Listen on a free port, say where, and stay until the process is told to stop."""
    runner = web.AppRunner(app, access_log=None, handle_signals=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    click.echo(f"listening on http://{host}:{port}")
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


@click.group()
def main() -> None:
    """A bare aiohttp server to compare the product with."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def write(folder: Path) -> None:
    """Take uploads into FOLDER."""
    uvloop.run(serve(WriteFloor(folder).application()))


if __name__ == "__main__":
    main()
