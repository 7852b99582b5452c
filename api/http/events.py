"""Read the log as it grows: a page of events after a position, or an endless stream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.event_out import event_out
from asset_ledger.api.contract.events import (
    AFTER,
    BEFORE,
    EVENT_FILTERS,
    LIMIT,
    ORDER,
    event_filter,
    read_last_event_id,
    selects_all_users,
)
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.parameters import MAX_POSITION
from asset_ledger.api.contract.shapes import EventsOut
from asset_ledger.api.http.answers import POSITION, json_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.reading.event_filter import EventFilter
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.reading.subscriptions import Subscriber

STREAM: Final = "text/event-stream"

HEARTBEAT: Final = 15.0
"""Seconds without an event, after which a stream sends a comment."""

RETRY: Final = 1_000
"""Milliseconds that a client waits before it connects again."""

_HEADERS: Final = {
    "Content-Type": STREAM,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # else a buffering proxy would hold events back
}


@operation(
    "GET",
    "/api/events",
    answers=EventsOut,
    scope="read",
    parameters=[AFTER, BEFORE, ORDER, LIMIT, *EVENT_FILTERS],
)
async def list_events(request: Request) -> web.Response:
    """List the user's next events after a position, or the last before one, newest first."""
    values, selected, head = request.parameters, _filter(request), request.backend.feed.head()
    after, before = values.get("after", 0), values.get("before", MAX_POSITION)

    def read(replay: Replay) -> tuple[bytes, int]:
        if values["order"] == "desc":
            found = replay.events_before(selected, before, after, values["limit"])
        else:
            found = replay.events_after(selected, after, values["limit"], upto=before - 1)
        body = {"events": [event_out(event) for event in found.events], "next": found.next}
        return orjson.dumps(body), head if values["order"] == "desc" else found.next

    return json_answer(*await request.ledger.replay(read))


@operation(
    "GET",
    "/api/events/stream",
    scope="read",
    parameters=[AFTER, *EVENT_FILTERS],
    gives=[STREAM],
    headers=["Last-Event-ID"],
)
async def stream_events(request: Request) -> web.StreamResponse:
    """Stream the user's events as server-sent events, from a position or from now on."""
    selected, after = _filter(request), _start(request)
    response = web.StreamResponse(headers={**_HEADERS, POSITION: str(after)})
    await response.prepare(request)
    if request.method == "GET":
        await response.write(b"retry: %d\n" % RETRY)  # no blank line: some clients report a block
        async for text in _texts(request, selected, after):
            await response.write(text)
    return response


def _filter(request: Request) -> EventFilter:
    if selects_all_users(request.parameters):
        request.principal.require("admin")
    return event_filter(request.parameters, request.user_id)


def _start(request: Request) -> int:
    """Return the position to stream after: Last-Event-ID before `after`, then the head."""
    last = request.headers.get("Last-Event-ID")
    if last is not None:
        return read_last_event_id(last)
    after: int = request.parameters.get("after", request.backend.feed.head())
    return after


async def _texts(request: Request, selected: EventFilter, after: int) -> AsyncIterator[bytes]:
    """Yield events, and a comment after each HEARTBEAT without one, until the server stops."""
    subscriptions, loop = request.backend.subscriptions, asyncio.get_running_loop()
    subscriber = Subscriber(subscriptions, request.ledger.replay, selected, after)
    due = loop.time() + HEARTBEAT
    while not subscriptions.ended:
        try:
            async with asyncio.timeout_at(due):
                text = await subscriber.text()
        except TimeoutError:
            text = b": still here\n"
        if text:
            yield text
            due = loop.time() + HEARTBEAT
