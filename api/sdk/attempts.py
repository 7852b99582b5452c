"""Which attempt of a job a context begins."""

from typing import Literal

from asset_ledger.api.sdk.gateway import Fields, Gateway
from asset_ledger.ledger.errors import JobStateError, UnknownJobError


async def begin(
    gateway: Gateway, job_id: str, fields: Fields, chosen: int | Literal["new"] | None
) -> int:
    """Start an attempt, as `ProcessingContext.__aenter__` says, and return its number.

    Raises JobStateError.
    """
    if chosen == "new":
        return await gateway.start_job(job_id, {**fields, "attempt": await _next(gateway, job_id)})
    try:
        return await gateway.start_job(job_id, {**fields, "attempt": chosen})
    except JobStateError as refusal:
        last = None if chosen else await gateway.job(job_id)
        if last is None or last["finished_at"] is None:
            raise
        if last["status"] == "completed":
            message = f'job {job_id} is completed: pass attempt="new" to run it again'
            raise JobStateError(message) from refusal
    return await gateway.start_job(job_id, {**fields, "attempt": last["attempt"] + 1})


async def _next(gateway: Gateway, job_id: str) -> int:
    """Return the number after the last attempt: 1 if none started or ended."""
    try:
        job = await gateway.job(job_id)
    except UnknownJobError:
        return 1
    return max((each["attempt"] for each in job["attempts"]), default=0) + 1
