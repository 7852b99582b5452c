"""A proxy before a server, which can change an answer on its way and can change servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web

Change = Callable[[str, bytes], bytes]


@dataclass
class Proxy:
    """Where it listens, where it forwards to, and what it does to the body of an answer."""

    url: str
    upstream: str
    change: Change


@asynccontextmanager
async def proxying(upstream: str, change: Change = lambda path, body: body) -> AsyncIterator[Proxy]:
    """Start a proxy on a free port."""
    proxy = Proxy("", upstream, change)
    async with aiohttp.ClientSession() as session:

        async def forward(request: web.BaseRequest) -> web.StreamResponse:
            return await _forward(proxy, session, request)

        runner = web.ServerRunner(web.Server(forward), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.url = "http://127.0.0.1:{1}".format(*runner.addresses[0])
        try:
            yield proxy
        finally:
            await runner.cleanup()


async def _forward(
    proxy: Proxy, session: aiohttp.ClientSession, request: web.BaseRequest
) -> web.StreamResponse:
    if request.path == "/api/events/stream":
        await asyncio.Event().wait()  # a stream without news
    url = proxy.upstream + request.raw_path
    body = await request.read() or None
    async with session.request(request.method, url, data=body) as answer:
        changed = proxy.change(request.path, await answer.read())
        dropped = ("Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection")
        headers = {k: v for k, v in answer.headers.items() if k.title() not in dropped}
        return web.Response(status=answer.status, body=changed, headers=headers)
