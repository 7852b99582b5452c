"""Follow the events of a server over lost connections and restarts.

Promise: every event after the first connection is yielded once, in the order of the log.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final, NamedTuple

import orjson

from asset_ledger.api.sdk.client import Client
from asset_ledger.api.sdk.gateway import Document, Query
from asset_ledger.ledger.errors import UnavailableError

PATIENCE: Final = 60.0
"""Seconds without a connection, after which an iterator of events fails."""

PAUSE: Final = 1.0
"""Seconds between the end of a stream and the next connection."""


class Block(NamedTuple):
    """A server-sent event: the position after it, and its JSON; none at the start of a stream."""

    position: str
    data: str = ""


async def follow(
    client: Client, query: Query, *, patience: float | None = PATIENCE
) -> AsyncGenerator[Document]:
    """Yield events as they are recorded, for ever; reconnect where the last connection ended.

    Raises any refusal, and UnavailableError if the first connection fails, or if there is none for
    `patience` seconds; None is for ever.
    """
    position, lost = "", None
    while True:
        try:
            async with aclosing(_blocks(client, query, position)) as blocks:
                async for block in blocks:
                    position, lost = block.position, None
                    if block.data:
                        yield orjson.loads(block.data)
        except UnavailableError:
            now = time.monotonic()
            lost = lost or now
            is_late = patience is not None and now - lost > patience
            if not position or is_late:
                raise
        await asyncio.sleep(PAUSE)


async def _blocks(client: Client, query: Query, position: str) -> AsyncGenerator[Block]:
    """Yield the start of a stream, and complete events: the server repeats one that was cut off."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": position} if position else {})
    response = await client.open("/api/events/stream", headers, query)
    yield Block(position or response.headers.get("Ledger-Position", ""))
    rest = b""
    async with aclosing(client.body(response)) as pieces:
        async for piece in pieces:
            *blocks, rest = (rest + piece).split(b"\n\n")
            for block in blocks:
                fields = dict(_fields(block))
                if "id" in fields:
                    yield Block(fields["id"], fields.get("data", ""))


def _fields(block: bytes) -> Iterator[tuple[str, str]]:
    for line in block.decode().split("\n"):
        name, _, value = line.partition(": ")
        yield name, value
