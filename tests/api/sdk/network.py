"""A network that fails: it stands between a client and a server, and does what it is told to."""

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
    """One request as it arrived, and the how-manieth of its Idempotency-Key (or path) it is."""

    request: bytes
    headers: dict[str, str]
    attempt: int


Behaviour = Callable[["Network", Exchange], Awaitable[bytes | None]]
"""The bytes to answer with; None breaks the connection off."""


class Network:
    """Every request goes through `behave`; `seen` keeps them all."""

    def __init__(self, behave: Behaviour, upstream: str = "") -> None:
        self.seen: list[Exchange] = []
        self.url = ""
        self._behave, self._upstream = behave, upstream
        self._attempts: Counter[str] = Counter()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def forward(self, exchange: Exchange) -> bytes:
        """What the server answers."""
        parts = urlsplit(self._upstream)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(exchange.request)
            head = await reader.readuntil(END_OF_HEAD)
            return head + await reader.readexactly(_length(_headers(head)))
        finally:
            writer.close()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: exchange after exchange, until somebody hangs up."""
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            while answer := await self._behave(self, await self._receive(reader, writer)):
                writer.write(answer)
                await writer.drain()
                if len(answer) < _promised(answer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has hung up: it has no more to ask
        del self._open[task]
        writer.close()

    async def end(self) -> None:
        """Hang up on everybody."""
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
async def network(behave: Behaviour, upstream: str = "") -> AsyncIterator[Network]:
    """A network on a port of its own; `upstream` is the server that it can forward to."""
    between = Network(behave, upstream)
    async with await asyncio.start_server(between.connected, "127.0.0.1", 0, limit=1 << 24) as port:
        between.url = "http://127.0.0.1:{1}".format(*port.sockets[0].getsockname())
        try:
            yield between
        finally:
            await between.end()


async def passes(between: Network, exchange: Exchange) -> bytes | None:
    return await between.forward(exchange)


async def refuses(between: Network, exchange: Exchange) -> bytes | None:
    """The request never arrives."""
    return None


async def loses(between: Network, exchange: Exchange) -> bytes | None:
    """The request arrives, and its answer does not."""
    await between.forward(exchange)
    return None


async def halves(between: Network, exchange: Exchange) -> bytes | None:
    """Half of the answer arrives."""
    answer = await between.forward(exchange)
    return answer[: len(answer) // 2]


async def repeats(between: Network, exchange: Exchange) -> bytes | None:
    """The request arrives twice, at the same time."""
    first, _ = await asyncio.gather(between.forward(exchange), between.forward(exchange))
    return first


async def loses_the_way(between: Network, exchange: Exchange) -> bytes | None:
    """A proxy on the way does not find the server."""
    return answer(502)


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer, spelled out."""
    fields = {"Content-Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items()]
    return f"HTTP/1.1 {status} Said\r\n{''.join(lines)}\r\n".encode() + body


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The first attempt meets the first of these, the next the next, and the rest the last."""

    async def behave(between: Network, exchange: Exchange) -> bytes | None:
        turn = min(exchange.attempt, len(behaviours)) - 1
        return await behaviours[turn](between, exchange)

    return behave


def says(answered: bytes) -> Behaviour:
    """Whatever is asked, this is the answer."""

    async def behave(between: Network, exchange: Exchange) -> bytes | None:
        return answered

    return behave


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in pairs}


def _length(headers: dict[str, str]) -> int:
    return int(headers.get("content-length", "0"))


def _promised(answer: bytes) -> int:
    head, blank, _ = answer.partition(END_OF_HEAD)
    return len(head) + len(blank) + _length(_headers(head)) if blank else len(answer) + 1
