"""OpenLineage: receive the run events of other programs, and return a job as run events."""

import orjson
from aiohttp import web

from asset_ledger.api.contract.errors import UnsupportedTypeError
from asset_ledger.api.contract.openlineage import (
    MAX_BODY,
    ReportReader,
    ReportsOut,
    RunEvents,
    RunEventsIn,
)
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import ATTEMPT
from asset_ledger.api.contract.strict_json import read_document
from asset_ledger.api.export.names import Names
from asset_ledger.api.export.openlineage import run_events
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.body import media_type_of, read_unpacked
from asset_ledger.api.http.job_documents import document_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import (
    JobStateError,
    ProjectionBehindError,
    TooLargeError,
    UnknownJobError,
)


@operation(
    "POST",
    "/api/v1/lineage",
    answers=ReportsOut,
    errors=[JobStateError, ProjectionBehindError, UnsupportedTypeError],
    scope="write",
    takes=RunEventsIn,
    statuses=[201, 202],
    max_json=MAX_BODY,
)
async def receive_lineage(request: Request) -> web.Response:
    """Record OpenLineage run events: runs as jobs, data sets as assets without bytes."""
    with request.slot():
        if (media_type := media_type_of(request)) != JSON:
            raise UnsupportedTypeError(f"send {JSON} here, not {media_type or 'bytes'!r}")
        document = read_document(await read_unpacked(request), "the body")
        names = Names(request.backend.feed.log_id, request.user_id)
        reader = ReportReader(names.asset_id, "admin" in request.principal.scopes)
        call, record = request.call(), request.ledger.run_reports.record
        receipts = [await record(call, each) for each in reader.reports(document)]
    runs = [{"job_id": r.job_id, "attempt": r.attempt, "status": r.status} for r in receipts]
    position = max((r.position for r in receipts), default=request.projections.position)
    body, behind = orjson.dumps({"runs": runs}), any(r.behind for r in receipts)
    headers = {"Ledger-Projection": "behind"} if behind else {}
    return json_answer(body, position, status=202 if behind else 201, headers=headers)


@operation(
    "GET",
    "/api/jobs/{job_id}/openlineage",
    answers=RunEvents,
    errors=[UnknownJobError, TooLargeError],
    scope="read",
    parameters=[ATTEMPT],
)
async def get_job_openlineage(request: Request) -> web.Response:
    """Return a job as an array of OpenLineage run events: an attempt, or a node in it, is a run."""
    return await document_answer(request, lambda *job: [*run_events(*job)])
