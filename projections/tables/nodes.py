"""The rows of `node_runs`, one for each run of a node. The projection `jobs` fills them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from asset_ledger.ledger.domain.event import Recorded, iso
from asset_ledger.ledger.domain.node import NodeRun, evolve
from asset_ledger.projections.projection import Statement

# One statement for the start and the end of a run, so that both may be grouped: see `Statement`.
_UPSERT: Final = """
    INSERT INTO node_runs (user_id, job_id, attempt, node_id, run, workflow_id, status, error,
        micros, started_at, finished_at, first_position, last_position)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (user_id, job_id, node_id, attempt, run) DO UPDATE SET
        workflow_id = excluded.workflow_id, status = excluded.status,
        error = excluded.error, micros = excluded.micros, started_at = excluded.started_at,
        finished_at = excluded.finished_at, last_position = excluded.last_position
"""


def run_statements(recorded: Recorded) -> Iterator[Statement]:
    """Insert or update the row of the run that an event starts or ends."""
    if (run := evolve(None, recorded)) is not None:
        yield Statement(_UPSERT, _row(run), independent=True)


def _row(run: NodeRun) -> tuple[Any, ...]:
    result = (run.workflow_id, run.status, run.error, run.micros)
    times = (_time(run.started_at), _time(run.finished_at))
    return (*run.name, *result, *times, run.first_position, run.position)


def _time(when: datetime | None) -> str | None:
    return None if when is None else iso(when)
