"""Operations on the nodes of a job: list them, record the start and the end of their runs."""

from collections.abc import Sequence
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.fields import Fields, read_as
from asset_ledger.api.contract.nodes import (
    NODE_LISTING,
    NodeFinishIn,
    NodeStartIn,
    node_end,
    node_start,
)
from asset_ledger.api.contract.operations import Model, operation
from asset_ledger.api.contract.shapes import NodePage, NodeRunOut
from asset_ledger.api.http.answers import json_answer, next_link, write_headers
from asset_ledger.api.http.body import read_optional_json
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.commands.nodes import NodeReceipt
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
from asset_ledger.projections.queries.nodes import run_document

_NODE_WRITE_ERRORS: Final[Sequence[type[LedgerError]]] = (
    MalformedBodyError,
    FieldError,
    TooLargeError,
    JobStateError,
    KeyReusedError,
    BusyError,
)


@operation(
    "GET",
    "/api/jobs/{job_id}/nodes",
    answers=NodePage,
    errors=[UnknownJobError, ParameterError, CursorError, ProjectionBehindError],
    scope="read",
    parameters=NODE_LISTING,
)
async def list_nodes(request: Request) -> web.Response:
    """List a page of the nodes of a job: runs, failures, seconds, live assets and their bytes."""
    values = request.parameters
    page = await request.projections.nodes.page(
        request.user_id,
        request.path_values["job_id"],
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
    errors=_NODE_WRITE_ERRORS,
    scope="write",
    takes=NodeStartIn,
)
async def start_node(request: Request) -> web.Response:
    """Record that a node started to run. Starting the same run again records nothing."""
    job_id = request.path_values["job_id"]
    with request.ledger.slots.take():
        fields = await _fields(request, NodeStartIn)
        given = node_start(fields)
        receipt = await request.ledger.nodes.start(request.call(), job_id, given, fields)
    return _run_answer(receipt)


@operation(
    "POST",
    "/api/jobs/{job_id}/nodes/finish",
    answers=NodeRunOut,
    errors=_NODE_WRITE_ERRORS,
    scope="write",
    takes=NodeFinishIn,
)
async def finish_node(request: Request) -> web.Response:
    """Record the end of a run. Finishing it again with the same values records nothing."""
    job_id = request.path_values["job_id"]
    with request.ledger.slots.take():
        fields = await _fields(request, NodeFinishIn)
        receipt = await request.ledger.nodes.finish(
            request.call(), job_id, node_end(fields), fields
        )
    return _run_answer(receipt)


async def _fields(request: Request, model: Model) -> Fields:
    """Read the body. Raises MissingScopeError if it claims a time without the scope admin."""
    fields = read_as(model, await read_optional_json(request))
    if "made_at" in fields:  # else any user could claim a time
        request.principal.require("admin")
    return fields


def _run_answer(receipt: NodeReceipt) -> web.Response:
    status = 202 if receipt.behind else 200
    body = orjson.dumps(run_document(receipt.run))
    return json_answer(body, receipt.position, status=status, headers=write_headers(receipt))
