"""Operations on the nodes of a job: list them, record the start and the end of their runs."""

import orjson
from aiohttp import web

from asset_ledger.api.contract.nodes import (
    NODE_LISTING,
    NodeFinishIn,
    NodeStartIn,
    node_end,
    node_start,
)
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.shapes import NodePage, NodeRunOut
from asset_ledger.api.http.answers import json_answer, next_link, write_answer
from asset_ledger.api.http.body import read_claimed
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.commands.nodes import NodeReceipt
from asset_ledger.ledger.errors import JobStateError, UnknownJobError
from asset_ledger.projections.queries.nodes import run_document


@operation(
    "GET",
    "/api/jobs/{job_id}/nodes",
    answers=NodePage,
    errors=[UnknownJobError],
    scope="read",
    parameters=NODE_LISTING,
)
async def list_nodes(request: Request) -> web.Response:
    """List a page of the nodes of a job: runs, failures, seconds, live assets and their bytes."""
    values = request.parameters
    page = await request.projections.nodes.page(
        request.user_id,
        request.path_values["job_id"],
        attempt=values.get("attempt"),
        sort=values["sort"],
        page_size=values["page_size"],
        cursor=values.get("cursor", ""),
    )
    body = b'{"nodes":[%b],"next":"%b"}' % (page.json, page.next.encode())
    return json_answer(body, page.position, headers=next_link(request, page.next))


@operation(
    "POST",
    "/api/jobs/{job_id}/nodes/start",
    answers=NodeRunOut,
    errors=[JobStateError],
    scope="write",
    takes=NodeStartIn,
)
async def start_node(request: Request) -> web.Response:
    """Record that a node started to run. Starting the same run again records nothing."""
    job_id = request.path_values["job_id"]
    with request.slot():
        fields = await read_claimed(request, NodeStartIn)
        given, call = node_start(fields), request.call()
        receipt = await request.ledger.nodes.start(call, job_id, given, fields)
    return _run_answer(receipt)


@operation(
    "POST",
    "/api/jobs/{job_id}/nodes/finish",
    answers=NodeRunOut,
    errors=[JobStateError],
    scope="write",
    takes=NodeFinishIn,
)
async def finish_node(request: Request) -> web.Response:
    """Record the end of a run. Finishing it again with the same values records nothing."""
    job_id = request.path_values["job_id"]
    with request.slot():
        fields = await read_claimed(request, NodeFinishIn)
        given, call = node_end(fields), request.call()
        receipt = await request.ledger.nodes.finish(call, job_id, given, fields)
    return _run_answer(receipt)


def _run_answer(receipt: NodeReceipt) -> web.Response:
    return write_answer(orjson.dumps(run_document(receipt.run)), receipt)
