"""A failing network: a proxy between a client and a server, with a programmed behaviour."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

END_OF_HEAD: Final = b"\r\n\r\n"
EXPECTS: Final = b"Expect: 100-continue\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class Exchange:
    """One request as it arrived. `attempt` counts the requests with its Idempotency-Key or path."""

    request: bytes
    headers: dict[str, str]
    attempt: int


Behaviour = Callable[["Network", Exchange], Awaitable[bytes | None]]
"""Returns the bytes of the answer; None closes the connection."""


class Network:
    """A proxy whose `behave` answers every request. `seen` has all requests in order."""

    def __init__(self, behave: Behaviour, upstream: str = "") -> None:
        self.seen: list[Exchange] = []
        self.url = ""
        self._behave, self._upstream = behave, upstream
        self._attempts: Counter[str] = Counter()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def forward(self, exchange: Exchange) -> bytes:
        """Send a request to the server, and return its answer."""
        parts = urlsplit(self._upstream)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(exchange.request)
            head = await reader.readuntil(END_OF_HEAD)
            return head + await reader.readexactly(_length(_headers(head)))
        finally:
            writer.close()

    async def send_part(self, part: bytes) -> None:
        """Send a part of a request to the server, and close the connection once it was read."""
        parts = urlsplit(self._upstream)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(part)
        writer.write_eof()
        await reader.read()
        writer.close()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until one side closes it."""
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            while answer := await self._behave(self, await self._receive(reader, writer)):
                writer.write(answer)
                await writer.drain()
                if len(answer) < _announced_length(answer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client closed the connection
        del self._open[task]
        writer.close()

    async def end(self) -> None:
        """Close all connections."""
        tasks = list(self._open)
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*tasks)

    async def _receive(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Exchange:
        head = await reader.readuntil(END_OF_HEAD)
        if EXPECTS in head:
            head = head.replace(EXPECTS, b"")
            writer.write(CONTINUE)
        headers = _headers(head)
        body = await reader.readexactly(_length(headers))
        key = headers.get("idempotency-key") or head.split(b" ", 2)[1].decode()
        self._attempts[key] += 1
        exchange = Exchange(head + body, headers, self._attempts[key])
        self.seen.append(exchange)
        return exchange


@asynccontextmanager
async def network(
    behave: Behaviour, upstream: str = "", *, port: int = 0
) -> AsyncIterator[Network]:
    """Run a network on a port (0: any free one). `upstream` is the address of the server."""
    between = Network(behave, upstream)
    listening = asyncio.start_server(between.connected, "127.0.0.1", port, limit=1 << 24)
    async with await listening as server:
        between.url = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        try:
            yield between
        finally:
            await between.end()


async def forwards(between: Network, exchange: Exchange) -> bytes | None:
    return await between.forward(exchange)


async def drops_the_request(between: Network, exchange: Exchange) -> bytes | None:
    """The request never arrives."""
    return None


async def drops_the_answer(between: Network, exchange: Exchange) -> bytes | None:
    """The request arrives, and its answer does not."""
    await between.forward(exchange)
    return None


async def cuts_the_answer(between: Network, exchange: Exchange) -> bytes | None:
    """Half of the answer arrives."""
    answer = await between.forward(exchange)
    return answer[: len(answer) // 2]


async def repeats_the_request(between: Network, exchange: Exchange) -> bytes | None:
    """The request arrives twice, at the same time."""
    first, _ = await asyncio.gather(between.forward(exchange), between.forward(exchange))
    return first


async def answers_502(between: Network, exchange: Exchange) -> bytes | None:
    """A proxy on the way answers 502."""
    return answer(502)


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of an HTTP answer."""
    fields = {"Content-Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items()]
    return f"HTTP/1.1 {status} Reason\r\n{''.join(lines)}\r\n".encode() + body


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Use one behaviour for each attempt, and the last one for all further attempts."""

    async def behave(between: Network, exchange: Exchange) -> bytes | None:
        turn = min(exchange.attempt, len(behaviours)) - 1
        return await behaviours[turn](between, exchange)

    return behave


def answers(fixed: bytes) -> Behaviour:
    """Give the same answer to every request."""

    async def behave(between: Network, exchange: Exchange) -> bytes | None:
        return fixed

    return behave


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in pairs}


def _length(headers: dict[str, str]) -> int:
    return int(headers.get("content-length", "0"))


def _announced_length(answer: bytes) -> int:
    head, blank, _ = answer.partition(END_OF_HEAD)
    return len(head) + len(blank) + _length(_headers(head)) if blank else len(answer) + 1
