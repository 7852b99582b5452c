"""A receiver of webhooks in this process: what it got, and what it answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web
from standardwebhooks.webhooks import Webhook

Answer = Callable[[int], web.Response | Awaitable[web.Response]]
"""Makes the answer to the request with this number, from 0."""


class Receiver:
    """What arrived: the headers and the body of every request, and the bodies it accepted."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.accepted: list[Any] = []
        self.url = ""

    @property
    def positions(self) -> list[int]:
        return [body["position"] for body in self.accepted]

    def verify(self, secret: str) -> None:
        """Check the signature of every request."""
        for headers, body in self.requests:
            Webhook(secret).verify(body, headers)

    async def receive(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        self.requests.append((dict(request.headers), body))
        answer = self._answer(len(self.requests) - 1)
        if not isinstance(answer, web.Response):
            answer = await answer
        if answer.status < 300:
            self.accepted.append(orjson.loads(body))
        return answer


def accepting(_: int) -> web.Response:
    return web.Response(status=204)


@asynccontextmanager
async def receiving(answer: Answer = accepting) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer)
    runner = web.ServerRunner(web.Server(receiver.receive))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = "http://127.0.0.1:{1}/hook".format(*runner.addresses[0])
    try:
        yield receiver
    finally:
        await runner.cleanup()
