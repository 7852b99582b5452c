"""The log as it grows: the events after a position, and a stream of them that never ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.event_out import event_out
from asset_ledger.api.contract.events import (
    AFTER,
    EVENT_FILTERS,
    LIMIT,
    asks_for_all,
    event_filter,
    read_last_event_id,
)
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.shapes import EventsOut
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import ParameterError
from asset_ledger.ledger.reading.event_filter import EventFilter
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.reading.subscriptions import Subscriber

STREAM: Final = "text/event-stream"

HEARTBEAT: Final = 15.0
"""Seconds of silence after which a stream says that it is still there."""

RETRY: Final = 1_000
"""Milliseconds that a client waits before it comes back."""

_HEADERS: Final = {
    "Content-Type": STREAM,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that gathers answers would keep each event for itself
}


@operation(
    "GET",
    "/api/events",
    answers=EventsOut,
    errors=[ParameterError],
    scope="audit",
    parameters=[AFTER, LIMIT, *EVENT_FILTERS],
)
async def list_events(request: Request) -> web.Response:
    """The caller's next events after a position, and the position to go on from."""
    wanted, after = _wanted(request), request.asked.get("after", 0)
    heard = await request.ledger.replay(Replay.events_after, wanted, after, request.asked["limit"])
    body = {"events": [event_out(event) for event in heard.events], "next": heard.next}
    return json_answer(orjson.dumps(body), heard.next)


@operation(
    "GET",
    "/api/events/stream",
    errors=[ParameterError],
    scope="audit",
    parameters=[AFTER, *EVENT_FILTERS],
    gives=[STREAM],
    headers=["Last-Event-ID"],
)
async def stream_events(request: Request) -> web.StreamResponse:
    """The caller's events as server-sent events, from a position on or from now on."""
    wanted, after = _wanted(request), _seen(request)
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    if request.method == "GET":
        await response.write(b"retry: %d\nid: %d\n\n" % (RETRY, after))
        async for text in _texts(request, wanted, after):
            await _send(request, response, text)
    return response


def _wanted(request: Request) -> EventFilter:
    if asks_for_all(request.asked):
        request.principal.require("admin")
    return event_filter(request.asked, request.user_id)


def _seen(request: Request) -> int:
    """What a client that comes back has seen wins over where it once began."""
    last = request.headers.get("Last-Event-ID")
    if last is not None:
        return read_last_event_id(last)
    after: int = request.asked.get("after", request.backend.feed.head())
    return after


async def _texts(request: Request, wanted: EventFilter, after: int) -> AsyncIterator[bytes]:
    """What to send, until the service stops: events, and a comment when none came for a while."""
    tail, loop = request.backend.subscriptions, asyncio.get_running_loop()
    follower = Subscriber(tail, request.ledger.replay, wanted, after)
    due = loop.time() + HEARTBEAT
    while not tail.ended:
        try:
            async with asyncio.timeout_at(due):
                text = await follower.text()
        except TimeoutError:
            text = b": still here\n\n"
        if text:
            yield text
            due = loop.time() + HEARTBEAT


async def _send(request: Request, response: web.StreamResponse, text: bytes) -> None:
    """Write, unless the client takes nothing for too long: it can come back for the rest."""
    try:
        async with asyncio.timeout(request.body_timeout):
            await response.write(text)
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client is too slow") from error
