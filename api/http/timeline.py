"""The timeline of a job: when its nodes made how many assets."""

import orjson
from aiohttp import web

from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.timeline import TIMELINE, TimelineOut
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import UnknownJobError


@operation(
    "GET",
    "/api/jobs/{job_id}/timeline",
    answers=TimelineOut,
    errors=[UnknownJobError],
    scope="read",
    parameters=TIMELINE,
    projections=("usage", "tables"),
)
async def get_job_timeline(request: Request) -> web.Response:
    """Count the live assets of a job by node and by equal spans of time."""
    job_id, user_id = request.path_values["job_id"], request.user_id
    await request.projections.jobs.find(user_id, job_id)
    found = await request.projections.timelines.of(user_id, job_id, request.parameters["buckets"])
    nodes = [lane._asdict() for lane in found.lanes]
    document = {"job_id": job_id, "step": found.step, "nodes": nodes, "truncated": found.truncated}
    return json_answer(orjson.dumps(document), found.position)
