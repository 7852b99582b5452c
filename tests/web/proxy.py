"""A proxy before a server, which can change an answer on its way and can change servers."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import web
from yarl import URL

Change = Callable[[str, bytes], bytes]

_FORWARDED: Final = {
    "Accept",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "Range",
    "Repr-Digest",
}
_DROPPED: Final = {"Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection"}

REQUEST: Final = "request-of-the-test"


def problem(status: int, slug: str, detail: str, **headers: str) -> web.Response:
    body = {"type": f"urn:asset-ledger:{slug}", "status": status, "detail": detail}
    text = json.dumps({**body, "title": slug, "request_id": REQUEST})
    kind = "application/problem+json"
    return web.Response(status=status, text=text, content_type=kind, headers=headers)


@dataclass
class Proxy:
    """Where it listens, where it forwards to, what it does to answers."""

    url: str
    upstream: str
    change: Change
    instead: Callable[[str], web.Response | None] = lambda path: None
    refuses: str = ""  # requests whose path and query this pattern matches get `refusal`
    refusal: Callable[[], web.Response] = web.Response
    down: bool = False  # closes every connection without an answer
    holds: str = "/nothing"  # requests of paths that contain this text wait until it changes


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
    if proxy.down:
        return _closed(request)
    if request.path == "/api/events/stream":
        await asyncio.Event().wait()  # a stream without news
    while proxy.holds in request.path:  # noqa: ASYNC110 - a test sets no event for each path
        await asyncio.sleep(0.02)
    if (answer := proxy.instead(request.path)) is not None:
        return answer
    if proxy.refuses and re.search(proxy.refuses, request.path_qs):
        return proxy.refusal()
    body = await request.read() or None
    sent = {k: v for k, v in request.headers.items() if k.title() in _FORWARDED}
    url = URL(proxy.upstream + request.raw_path, encoded=True)
    try:
        async with session.request(request.method, url, data=body, headers=sent) as answered:
            changed = proxy.change(request.path, await answered.read())
            headers = {k: v for k, v in answered.headers.items() if k.title() not in _DROPPED}
            return web.Response(status=answered.status, body=changed, headers=headers)
    except aiohttp.ClientError:
        return _closed(request)


def _closed(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
