"""Offer a server a load: requests at a rate that does not depend on its answers, or one after
another on each of many connections."""

import asyncio
import os
import time
from collections.abc import Sequence
from itertools import count
from statistics import quantiles
from typing import Final, NamedTuple, cast

BYTES: Final = 4_096
"""The size of each upload."""
LINKS: Final = 512
"""Connections of a load at a rate: fewer than a server takes. Uploads wait for a free one."""


_HEAD: Final = f"POST /api/assets?name=a&job_id=load HTTP/1.1\r\nHost: localhost\r\n\
Content-Type: application/octet-stream\r\nContent-Length: {BYTES}\r\n\r\n".encode()
_BYTES: Final = os.urandom(BYTES - 8)
_NUMBERS: Final = count(int.from_bytes(os.urandom(6), "big"))


class Answer(NamedTuple):
    """The status of an answer (0: none), the seconds since its request was due, and those of them
    before it was sent."""

    status: int
    seconds: float
    late: float


class Link(asyncio.Protocol):
    """A connection to a server on this machine, opened again after the server closed it.

    It costs a load less than the streams of asyncio do, so that the server has the processors.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._status: asyncio.Future[int] | None = None

    async def call(self, request: bytes, due: float | None = None) -> Answer:
        """Send a request and read its answer."""
        sent = time.perf_counter()
        began = sent if due is None else due
        try:
            status = await self._answered(request)
        except (OSError, EOFError):
            self.close()
            status = 0
        return Answer(status, time.perf_counter() - began, sent - began)

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._transport is not None:
            self._transport.close()
        self._transport = None

    async def _answered(self, request: bytes) -> int:
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        self._received, self._status = b"", loop.create_future()
        if self._transport is None:
            raise EOFError
        self._transport.write(request)
        return await self._status

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        head = head.lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not length or len(body) < int(length) or self._status is None or self._status.done():
            return
        if b"connection: close" in head:
            self.close()
        self._status.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._status is not None and not self._status.done():
            self._status.set_exception(exc or EOFError())


async def stream(port: int, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request on a connection of its own; keep the writer, which closes it at its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    return reader, writer


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def upload() -> bytes:
    """Return an upload of bytes that no other one has."""
    return _HEAD + next(_NUMBERS).to_bytes(8, "big") + _BYTES


async def one_after_another(port: int, connections: int, seconds: float) -> list[Answer]:
    """Upload on each of many connections, one after another."""
    answers, ends = list[Answer](), time.monotonic() + seconds

    async def repeat() -> None:
        link = Link(port)
        while time.monotonic() < ends:
            answers.append(await link.call(upload()))
        link.close()

    await asyncio.gather(*(repeat() for _ in range(connections)))
    return answers


async def offered(port: int, rate: float, seconds: float) -> list[Answer]:
    """Upload `rate` times a second, also while earlier uploads wait, on `LINKS` connections."""
    answers, under_way = list[Answer](), set[asyncio.Task[None]]()
    links = asyncio.LifoQueue[Link]()
    for _ in range(LINKS):
        links.put_nowait(Link(port))

    async def one(due: float) -> None:
        link = await links.get()
        answers.append(await link.call(upload(), due))
        links.put_nowait(link)

    began = time.perf_counter()
    for number in count():
        due = began + number / rate
        if due - began > seconds:
            break
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        task = asyncio.create_task(one(due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    while not links.empty():
        links.get_nowait().close()
    return answers


def percentile(answers: Sequence[Answer], nth: int, *statuses: int) -> float:
    """Return the nth percentile of the milliseconds of the answers with one of these statuses."""
    return _percentile([each.seconds for each in answers if each.status in statuses], nth)


def lateness(answers: Sequence[Answer], nth: int) -> float:
    """Return the nth percentile of the milliseconds by which requests were sent too late."""
    return _percentile([each.late for each in answers], nth)


def _percentile(seconds: Sequence[float], nth: int) -> float:
    found = [each * 1e3 for each in seconds]
    return quantiles(found, n=100, method="inclusive")[nth - 1] if len(found) > 1 else 0.0
