"""Operations on jobs: list, read, compare, record their start and end."""

import orjson
from aiohttp import web

from asset_ledger.api.contract.assets import LISTING
from asset_ledger.api.contract.jobs import (
    COMPARISON,
    JOB_LISTING,
    JobFinishIn,
    JobStartIn,
    compared_attempts,
    counted_jobs,
    job_end,
    job_query,
    job_start,
    jobs_per_page,
)
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import MIN_POSITION
from asset_ledger.api.contract.shapes import AssetPage, ComparisonOut, JobOut, JobPage
from asset_ledger.api.http.answers import json_answer, next_link, write_answer
from asset_ledger.api.http.assets import assets_answer
from asset_ledger.api.http.body import read_claimed
from asset_ledger.api.http.lines import LINES
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.commands.jobs import JobReceipt
from asset_ledger.ledger.errors import JobStateError, UnknownJobError
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.compare import AttemptName
from asset_ledger.projections.queries.job_comparison import STATUSES, comparison_document
from asset_ledger.projections.queries.jobs import job_document


@operation(
    "GET",
    "/api/jobs",
    answers=JobPage,
    scope="read",
    parameters=JOB_LISTING,
)
async def list_jobs(request: Request) -> web.Response:
    """List a page of the user's jobs that match every filter."""
    values, jobs = request.parameters, request.projections.jobs
    query = job_query(request.user_id, values)
    page = await jobs.page(query, page_size=jobs_per_page(values), cursor=values.get("cursor", ""))
    counted = orjson.dumps(await counted_jobs(jobs, query, values.get("count")))[1:-1]
    body = b'{"jobs":[%b],"next":"%b"%b}' % (
        page.json,
        page.next.encode(),
        b"," + counted if counted else b"",
    )
    return json_answer(body, page.position, headers=next_link(request, page.next))


@operation(
    "GET",
    "/api/jobs/{job_id}",
    answers=JobOut,
    errors=[UnknownJobError],
    scope="read",
    parameters=[MIN_POSITION],
)
async def get_job(request: Request) -> web.Response:
    """Return a job: its start and end, if recorded, and the count and size of its live assets."""
    found = await request.projections.jobs.find(request.user_id, request.path_values["job_id"])
    return json_answer(found.json, found.position)


@operation(
    "GET",
    "/api/jobs/{job_id}/assets",
    answers=AssetPage,
    errors=[UnknownJobError],
    scope="read",
    parameters=[p for p in LISTING if p.name != "job_id"],
    gives=[JSON, LINES],
    may_be_kept=True,
)
async def list_job_assets(request: Request) -> web.StreamResponse:
    """List the live assets that a job made and that match every filter, in the same formats."""
    job_id = request.path_values["job_id"]
    await request.ledger.replay(
        Replay.job, request.user_id, job_id, 0, 1, upto=await request.as_of()
    )
    return await assets_answer(request, job_id=[job_id])


@operation(
    "GET",
    "/api/jobs/{a}/compare/{b}",
    answers=ComparisonOut,
    errors=[UnknownJobError],
    scope="read",
    parameters=[*COMPARISON, MIN_POSITION],
)
async def compare_jobs(request: Request) -> web.Response:
    """Compare the live assets of two jobs' last attempts, or of those that `attempt` names."""
    values = request.parameters
    first, second = compared_attempts(values.get("attempt", ()))
    page = await request.projections.comparisons.page(
        request.user_id,
        AttemptName(request.path_values["a"], first),
        AttemptName(request.path_values["b"], second),
        statuses=values.get("status", STATUSES),
        page_size=values["page_size"],
        cursor=values.get("cursor", ""),
    )
    body = orjson.dumps(comparison_document(page))
    return json_answer(body, page.position, headers=next_link(request, page.next))


@operation(
    "POST",
    "/api/jobs/{job_id}/start",
    answers=JobOut,
    errors=[JobStateError],
    scope="write",
    takes=JobStartIn,
)
async def start_job(request: Request) -> web.Response:
    """Record the start of a job. Starting it again with the same values records nothing."""
    job_id = request.path_values["job_id"]
    with request.slot():
        fields = await read_claimed(request, JobStartIn)
        receipt = await request.ledger.jobs.start(request.call(), job_id, job_start(fields), fields)
    return await _job_answer(request, job_id, receipt)


@operation(
    "POST",
    "/api/jobs/{job_id}/finish",
    answers=JobOut,
    errors=[JobStateError],
    scope="write",
    takes=JobFinishIn,
)
async def finish_job(request: Request) -> web.Response:
    """Record the end of a job. Finishing it again with the same values records nothing."""
    job_id = request.path_values["job_id"]
    with request.slot():
        fields = await read_claimed(request, JobFinishIn)
        receipt = await request.ledger.jobs.finish(request.call(), job_id, job_end(fields), fields)
    return await _job_answer(request, job_id, receipt)


async def _job_answer(request: Request, job_id: str, receipt: JobReceipt) -> web.Response:
    """Return the job as of a write: from its row, or from the log if the row is of another time."""
    row = await request.projections.jobs.find_as_of(request.user_id, job_id, receipt.position)
    if row is None:
        record = await request.ledger.replay(
            Replay.job_record, request.user_id, job_id, upto=receipt.position
        )
        stale_before = request.projections.jobs.stale_before()
        row = orjson.dumps(job_document(record, stale_before))
    return write_answer(row, receipt)
