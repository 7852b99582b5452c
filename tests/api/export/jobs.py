"""A failed job to export, whose assets derive from another job's photo."""

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.domain.job_record import JobRecord
from tests.builders import asset_id, created, deleted, finished, recorded, started

LOG_ID = "c0ffee00" * 4
PHOTO = asset_id(9)
"""An asset of another job."""


def record_of(*events: Event) -> JobRecord:
    record = JobRecord("1", "job.4/5")
    record.add(recorded(*events))
    return record


def example() -> JobRecord:
    tags = {"job_id": "job.4/5", "workflow_id": "w"}
    return record_of(
        started(parent_job_id="above", **tags),
        created(originator_id=asset_id(1), node_id="load", derived_from=(PHOTO,), **tags),
        created(originator_id=asset_id(2), node_id="load", derived_from=(asset_id(1),), **tags),
        created(originator_id=asset_id(3), digest=None, size=0, **tags),
        deleted(originator_id=asset_id(2), **tags),
        finished(status="failed", private={"error": "out of paint"}, **tags),
    )
