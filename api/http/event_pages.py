"""Send events in the format that `Accept` names: a page, NDJSON, or a batch of CloudEvents.

NDJSON and batches contain the whole history. They are read and sent a piece at a time, so memory
stays constant. A page ends after about 1 MiB.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.event_out import cloud_event, event_out
from asset_ledger.api.contract.parameters import MAX_PAGE
from asset_ledger.api.http.answers import POSITION, VARY, compress_stream, json_answer
from asset_ledger.api.http.lines import LINES
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.domain.ledger import origin_line
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.event_filter import MAX_BYTES
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.pages import open_cursor, seal_cursor

BATCH: Final = "application/cloudevents-batch+json"

PIECE: Final = 2**18
"""Stored bytes of the events that are read and sent together, about."""

_NEGOTIATED: Final = {VARY: "Accept"}
"""Without it a cache would send one format to a client that accepts another."""

Events = Sequence[Recorded]


@dataclass(frozen=True, slots=True)
class History:
    """Events up to a position; `name` binds cursors.

    `read(replay, after, limit, max_bytes)` returns the next ones, and none only after the last one.
    It blocks.
    """

    replay: AsyncReplay
    read: Callable[[Replay, int, int, int], Events]
    upto: int
    name: bytes

    async def pieces(self, after: int, encode: Callable[[Events], bytes]) -> AsyncIterator[bytes]:
        """Yield all events after a position, a piece at a time, as a thread encodes them."""
        last = after

        def read(replay: Replay) -> bytes:
            nonlocal last
            events = self.read(replay, last, MAX_PAGE, PIECE)
            last = events[-1].position if events else last
            return encode(events) if events else b""

        while piece := await self.replay(read):
            yield piece

    async def page(self, after: int, limit: int) -> bytes:
        """Return the JSON of a page, which a thread encodes.

        One turn reads the page and looks behind it: else each of many requests would keep its page
        while it waits.
        """

        def read(replay: Replay) -> bytes:
            page, following = self.read(replay, after, limit, MAX_BYTES), ""
            if page and self.read(replay, page[-1].position, 1, PIECE):
                following = seal_cursor(page[-1].position, self.name)
            return orjson.dumps({"events": [*map(event_out, page)], "next": following})

        return await self.replay(read)


async def events_answer(request: Request, history: History) -> web.StreamResponse:
    """Return the history from the cursor or after a position, in the format of `Accept`."""
    cursor = request.parameters.get("cursor")
    after = open_cursor(cursor, history.name) if cursor else request.parameters["after"]
    if request.accepts(LINES):
        return await _stream(request, LINES, history, history.pieces(after, _lines))
    if request.accepts(BATCH):
        source = origin_line(request.backend.feed.log_id)
        batch = _batch(history.pieces(after, partial(_cloud_events, source)))
        return await _stream(request, BATCH, history, batch)
    body = await history.page(after, request.parameters["page_size"])
    return json_answer(body, history.upto, headers=_NEGOTIATED)


async def _stream(
    request: Request, media_type: str, history: History, encoded: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send a history in pieces. The first is read before the head is sent, so errors still fit."""
    first = await anext(encoded, b"")
    headers = {"Content-Type": media_type, POSITION: str(history.upto), **_NEGOTIATED}
    response = web.StreamResponse(headers=headers)
    compress_stream(request, response)
    await response.prepare(request)
    if request.method != "HEAD":
        await response.write(first)
        async for piece in encoded:
            await response.write(piece)
    await response.write_eof()
    return response


def _lines(events: Events) -> bytes:
    return b"".join(orjson.dumps(event_out(event)) + b"\n" for event in events)


def _cloud_events(source: str, events: Events) -> bytes:
    return b",".join(orjson.dumps(cloud_event(event, source)) for event in events)


async def _batch(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    opening = b"["
    async for piece in pieces:
        yield opening + piece
        opening = b","
    yield b"]" if opening == b"," else b"[]"
