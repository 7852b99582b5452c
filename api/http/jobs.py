"""Jobs: which there are, what each made, and the frame that says how it began and ended."""

from collections.abc import Sequence
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.assets import LISTING
from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.jobs import (
    JOB_FILTERS,
    JOB_LISTING,
    JobFinishIn,
    JobStartIn,
    job_end,
    job_start,
)
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.parameters import MIN_POSITION
from asset_ledger.api.contract.shapes import AssetPage, ComparisonOut, JobOut, JobPage
from asset_ledger.api.http.answers import json_answer, next_link, write_headers
from asset_ledger.api.http.assets import asset_page
from asset_ledger.api.http.body import read_optional_json
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.commands.jobs import JobReceipt
from asset_ledger.ledger.errors import (
    BusyError,
    CursorError,
    FieldError,
    JobStateError,
    KeyReusedError,
    LedgerError,
    MalformedBodyError,
    ParameterError,
    ProjectionBehindError,
    TooLargeError,
    UnknownJobError,
)
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.job_comparison import comparison_document
from asset_ledger.projections.queries.jobs import job_document

_FRAMING_ERRORS: Final[Sequence[type[LedgerError]]] = (
    MalformedBodyError,
    FieldError,
    TooLargeError,
    JobStateError,
    KeyReusedError,
    BusyError,
)


@operation(
    "GET",
    "/api/jobs",
    answers=JobPage,
    errors=[ParameterError, CursorError, ProjectionBehindError],
    scope="read",
    parameters=JOB_LISTING,
)
async def list_jobs(request: Request) -> web.Response:
    """A page of the caller's jobs that match every filter, and the cursor of the next."""
    asked = request.asked
    page = await request.projections.jobs.page(
        request.user_id,
        request.filters(JOB_FILTERS),
        sort=asked["sort"],
        page_size=asked["page_size"],
        cursor=asked.get("cursor", ""),
    )
    body = b'{"jobs":[%b],"next":"%b"}' % (page.json, page.next.encode())
    return json_answer(body, page.position, headers=next_link(request, page.next))


@operation(
    "GET",
    "/api/jobs/{job_id}",
    answers=JobOut,
    errors=[UnknownJobError, ProjectionBehindError],
    scope="read",
    parameters=[MIN_POSITION],
)
async def get_job(request: Request) -> web.Response:
    """One job: its frame, if it was given one, and what its live assets come to."""
    found = await request.projections.jobs.find(request.user_id, request.named["job_id"])
    return json_answer(found.json, found.position)


@operation(
    "GET",
    "/api/jobs/{job_id}/assets",
    answers=AssetPage,
    errors=[UnknownJobError, ParameterError, CursorError, ProjectionBehindError],
    scope="read",
    parameters=[p for p in LISTING if p.name != "job_id"],
)
async def list_job_assets(request: Request) -> web.Response:
    """A page of the live assets that a job made, narrowed by the filters of every list."""
    job_id = request.named["job_id"]
    await request.ledger.replay(
        Replay.job, request.user_id, job_id, 0, 1, upto=await request.as_of()
    )
    return await asset_page(request, job_id=[job_id])


@operation(
    "GET",
    "/api/jobs/{a}/compare/{b}",
    answers=ComparisonOut,
    errors=[UnknownJobError, ProjectionBehindError],
    scope="read",
    parameters=[MIN_POSITION],
)
async def compare_jobs(request: Request) -> web.Response:
    """What two jobs made: alike, different, only in one; and the first that differs."""
    a, b = request.named["a"], request.named["b"]
    comparison = await request.projections.comparisons.compare(request.user_id, a, b)
    return json_answer(orjson.dumps(comparison_document(comparison)), comparison.position)


@operation(
    "POST",
    "/api/jobs/{job_id}/start",
    answers=JobOut,
    errors=_FRAMING_ERRORS,
    scope="write",
    takes=JobStartIn,
)
async def start_job(request: Request) -> web.Response:
    """Record that a job begins, with what. Starting it again with the same records nothing."""
    job_id = request.named["job_id"]
    with request.ledger.slots.take():
        fields = read_as(JobStartIn, await read_optional_json(request))
        framed = await request.ledger.jobs.start(request.call(), job_id, job_start(fields), fields)
    return await _framed(request, job_id, framed)


@operation(
    "POST",
    "/api/jobs/{job_id}/finish",
    answers=JobOut,
    errors=_FRAMING_ERRORS,
    scope="write",
    takes=JobFinishIn,
)
async def finish_job(request: Request) -> web.Response:
    """Record how a job ended, started or not. Finishing it again with the same records nothing."""
    job_id = request.named["job_id"]
    with request.ledger.slots.take():
        fields = read_as(JobFinishIn, await read_optional_json(request))
        framed = await request.ledger.jobs.finish(request.call(), job_id, job_end(fields), fields)
    return await _framed(request, job_id, framed)


async def _framed(request: Request, job_id: str, framed: JobReceipt) -> web.Response:
    """The job as of a write: its row, unless the tables are behind, or ahead by now."""
    row = await request.projections.jobs.find_as_of(request.user_id, job_id, framed.position)
    if row is None:
        record = await request.ledger.replay(
            Replay.job_record, request.user_id, job_id, upto=framed.position
        )
        row = orjson.dumps(job_document(record))
    status = 202 if framed.behind else 200
    return json_answer(row, framed.position, status=status, headers=write_headers(framed))
