"""Histories: the events of a job or an asset, read from the log in its order."""

from collections.abc import Sequence
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import (
    AS_OF,
    ATTEMPT,
    CURSOR,
    MAX_POSITION,
    PAGE_SIZE,
    Parameter,
    whole,
)
from asset_ledger.api.contract.shapes import EventPage
from asset_ledger.api.http.event_pages import BATCH, History, events_answer
from asset_ledger.api.http.lines import LINES
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import UnknownAssetError, UnknownJobError
from asset_ledger.ledger.reading.replay import Replay

AFTER: Final = Parameter(
    "after", "Only events after this position.", whole(0, MAX_POSITION), default=0
)
HISTORY: Final = (PAGE_SIZE, CURSOR, AFTER, AS_OF)


@operation(
    "GET",
    "/api/jobs/{job_id}/history",
    answers=EventPage,
    errors=[UnknownJobError],
    scope="read",
    parameters=(ATTEMPT, *HISTORY),
    gives=[JSON, LINES, BATCH],
)
async def get_job_history(request: Request) -> web.StreamResponse:
    """List the events of a job, oldest first: a page, or all as NDJSON or a CloudEvents batch."""
    job_id, upto = request.path_values["job_id"], await _upto(request)
    user_id, attempt = request.user_id, request.parameters.get("attempt")

    def read(replay: Replay, after: int, limit: int, max_bytes: int) -> Sequence[Recorded]:
        bounds = (after, limit, max_bytes)
        return replay.job(user_id, job_id, *bounds, attempt=attempt, upto=upto)

    name = _name(request, "history", job_id, attempt)
    return await events_answer(request, History(request.ledger.replay, read, upto, name))


@operation(
    "GET",
    "/api/assets/{id}/history",
    answers=EventPage,
    errors=[UnknownAssetError],
    scope="read",
    parameters=HISTORY,
    gives=[JSON, LINES, BATCH],
)
async def get_asset_history(request: Request) -> web.StreamResponse:
    """List the events of an asset, deleted or not, oldest first, in the same formats."""
    asset_id, upto, user_id = request.asset_id, await _upto(request), request.user_id

    def read(replay: Replay, after: int, limit: int, max_bytes: int) -> Sequence[Recorded]:
        return replay.asset_events(user_id, asset_id, after, limit, max_bytes, upto=upto)

    name = _name(request, "asset", asset_id)
    return await events_answer(request, History(request.ledger.replay, read, upto, name))


async def _upto(request: Request) -> int:
    """Return the position of `as_of`, by default the current head of the log."""
    upto = await request.as_of()
    return request.backend.feed.head() if upto is None else upto


def _name(request: Request, kind: str, subject_id: str, attempt: int | None = None) -> bytes:
    return orjson.dumps([kind, request.user_id, subject_id, attempt])
