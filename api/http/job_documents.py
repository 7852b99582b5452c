"""Documents that describe a whole job of limited size, such as its PROV document."""

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.reading.replay import Replay

Describe = Callable[[JobRecord, str], Any]
"""Return the document of a job in the log with this id."""


async def document_answer(request: Request, describe: Describe) -> web.Response:
    """Answer with the document of the job in the path, or of one attempt. Raises TooLargeError.

    One turn reads the job and makes the document: else each of many requests would keep its job
    while it waits.
    """
    user_id, job_id = request.user_id, request.path_values["job_id"]
    attempt, log_id = request.parameters.get("attempt"), request.backend.feed.log_id

    def read(replay: Replay) -> tuple[bytes, int]:
        record = replay.job_record(user_id, job_id, attempt=attempt, is_limited=True)
        return orjson.dumps(describe(record, log_id)), record.last_position

    return json_answer(*await request.ledger.replay(read))
