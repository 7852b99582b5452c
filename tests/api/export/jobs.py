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


def retried() -> JobRecord:
    """Return a job of three attempts: failed, lost, running, with one late asset of the first."""
    tags = {"job_id": "job.4/5", "workflow_id": "w"}
    numbered = {n: {"attempt": n, **tags} for n in (1, 2, 3)}
    return record_of(
        started(**numbered[1]),
        created(originator_id=asset_id(1), node_id="load", **numbered[1]),
        finished(status="failed", private={"error": "out of paint"}, **numbered[1]),
        started(originator_version=3, **numbered[2]),
        created(originator_id=asset_id(2), node_id="load", derived_from=(PHOTO,), **numbered[2]),
        finished(status="lost", originator_version=4, **numbered[2]),
        started(originator_version=5, **{**numbered[3], "workflow_id": "v"}),
        created(originator_id=asset_id(3), node_id="load", **numbered[3]),
        created(originator_id=asset_id(4), **numbered[1]),
    )


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
