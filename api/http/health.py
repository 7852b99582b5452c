"""Is the server there?"""

from aiohttp import web

from api.contract.operations import operation
from api.http.request import Request


@operation("GET", "/health", gives=["text/plain"])
async def health(_: Request) -> web.Response:
    """`OK`, as soon as the server answers at all."""
    return web.Response(text="OK")
