"""Send events in the format that `Accept` names: a page, NDJSON, or a batch of CloudEvents.

NDJSON and batches contain the whole history. They are read and sent a piece at a time, so memory
stays constant. A page ends after about 4 MiB.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
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

    async def pieces(self, after: int) -> AsyncIterator[Events]:
        """Yield all events after a position, a piece at a time."""
        while events := await self.replay(self.read, after, MAX_PAGE, PIECE):
            yield events
            after = events[-1].position

    async def page(self, after: int, limit: int) -> tuple[Events, bool]:
        """Return the events of a page, and whether there are more.

        One turn reads both: else each of many requests would keep its page while it waits.
        """

        def read(replay: Replay) -> tuple[Events, bool]:
            page = self.read(replay, after, limit, MAX_BYTES)
            return page, bool(page and self.read(replay, page[-1].position, 1, PIECE))

        return await self.replay(read)


async def events_answer(request: Request, history: History) -> web.StreamResponse:
    """Return the history from the cursor or after a position, in the format of `Accept`."""
    cursor = request.parameters.get("cursor")
    after = open_cursor(cursor, history.name) if cursor else request.parameters["after"]
    if request.accepts(LINES):
        return await _stream(request, LINES, history, after, _lines)
    if request.accepts(BATCH):
        return await _stream(request, BATCH, history, after, _batch)
    return await _page(request, history, after)


async def _page(request: Request, history: History, after: int) -> web.Response:
    size = request.parameters["page_size"]
    page, more = await history.page(after, size)
    following = seal_cursor(page[-1].position, history.name) if more else ""
    body = orjson.dumps({"events": [event_out(event) for event in page], "next": following})
    return json_answer(body, history.upto, headers=_NEGOTIATED)


Encode = Callable[[AsyncIterator[Events], str], AsyncIterator[bytes]]


async def _stream(
    request: Request, media_type: str, history: History, after: int, encode: Encode
) -> web.StreamResponse:
    """Send a history in pieces. The first is read before the head is sent, so errors still fit."""
    encoded = encode(history.pieces(after), origin_line(request.backend.feed.log_id))
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


async def _lines(pieces: AsyncIterator[Events], _: str) -> AsyncIterator[bytes]:
    async for events in pieces:
        yield b"".join(orjson.dumps(event_out(event)) + b"\n" for event in events)


async def _batch(pieces: AsyncIterator[Events], source: str) -> AsyncIterator[bytes]:
    opening = b"["
    async for events in pieces:
        yield opening + b",".join(orjson.dumps(cloud_event(event, source)) for event in events)
        opening = b","
    yield b"]" if opening == b"," else b"[]"
