"""Offer a server a load: requests at a rate that does not depend on its answers, or one after
another on each of many connections."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from statistics import quantiles
from typing import Final, NamedTuple

BYTES: Final = 4_096
"""The size of each upload."""
LINKS: Final = 512
"""Connections of a load at a rate: fewer than a server takes. Uploads wait for a free one."""


class Answer(NamedTuple):
    """The status of an answer (0: none), the seconds since its request was due, and those of them
    before it was sent."""

    status: int
    seconds: float
    late: float


class Link:
    """A connection to a server on this machine, opened again after the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def call(self, request: bytes, due: float | None = None) -> Answer:
        """Send a request and read its answer."""
        sent = time.perf_counter()
        began = sent if due is None else due
        try:
            status = await self._status(request)
        except (OSError, EOFError):
            await self.close()
            status = 0
        return Answer(status, time.perf_counter() - began, sent - began)

    async def stream(self, request: bytes) -> asyncio.StreamReader:
        """Send a request, and return the reader of its answer."""
        reader, writer = await self._opened()
        writer.write(request)
        return reader

    async def close(self) -> None:
        """Close the connection, if it is open."""
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
        self._reader = self._writer = None

    async def _status(self, request: bytes) -> int:
        reader = await self.stream(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        if b"\r\nconnection: close\r\n" in head:
            await self.close()
        return int(head[9:12])

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self._reader, self._writer


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def upload() -> bytes:
    """Return an upload of random bytes."""
    head = f"POST /api/assets?name=a&job_id=load HTTP/1.1\r\nHost: localhost\r\n\
Content-Type: application/octet-stream\r\nContent-Length: {BYTES}\r\n\r\n"
    return head.encode() + os.urandom(BYTES)


async def one_after_another(port: int, connections: int, seconds: float) -> list[Answer]:
    """Upload on each of many connections, one after another."""
    answers, ends = list[Answer](), time.monotonic() + seconds

    async def repeat() -> None:
        link = Link(port)
        while time.monotonic() < ends:
            answers.append(await link.call(upload()))
        await link.close()

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
        await links.get_nowait().close()
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
