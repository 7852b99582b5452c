"""The projection `jobs`: one row for each job, with totals of its live assets and its last attempt;
one in `job_attempts` for each attempt that started or ended; and one for each run of its nodes.

A deleted or replaced asset is subtracted by its size in `assets`. So the statements of this
projection for an event run before those of the projection `assets`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from asset_ledger.ledger.domain.asset import (
    AssetContentReplaced,
    AssetCreated,
    AssetDeleted,
    AssetRestored,
)
from asset_ledger.ledger.domain.event import Recorded, TaggedEvent, iso, moment, private_of
from asset_ledger.ledger.domain.job import JobFinished, JobStarted
from asset_ledger.ledger.domain.node import NodeEvent
from asset_ledger.ledger.log.codec import CanonicalJson
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.projection import Statement
from asset_ledger.projections.tables.nodes import run_statements

_CREATED: Final = """
    INSERT INTO jobs (user_id, job_id, workflow_id, assets, bytes, first_position, last_position,
        updated_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (user_id, job_id) DO UPDATE SET
        assets = jobs.assets + excluded.assets, bytes = jobs.bytes + excluded.bytes,
        workflow_id = coalesce(jobs.workflow_id, excluded.workflow_id),
        last_position = excluded.last_position, updated_at = excluded.updated_at
"""
_CHANGED: Final = """
    UPDATE jobs SET {changes}last_position = ?, updated_at = ? WHERE user_id = ? AND job_id = ?
"""
_SIZE: Final = "(SELECT size FROM assets WHERE id = ?)"
_INSERT: Final = """
    INSERT INTO jobs (user_id, job_id, first_position, last_position, updated_at)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_STARTED: Final = """
    INSERT INTO job_attempts (user_id, job_id, attempt, status, started_at)
    VALUES (?, ?, ?, 'running', ?)
"""
_FINISHED: Final = """
    INSERT INTO job_attempts (user_id, job_id, attempt, status, error, finished_at)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (user_id, job_id, attempt) DO UPDATE SET
        status = excluded.status, error = excluded.error, finished_at = excluded.finished_at
"""
_NODE: Final = """
    INSERT INTO jobs (user_id, job_id, workflow_id, first_position, last_position, updated_at)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (user_id, job_id) DO UPDATE SET
        workflow_id = coalesce(jobs.workflow_id, excluded.workflow_id),
        last_position = excluded.last_position, updated_at = excluded.updated_at
"""


class Jobs:
    """The projection of jobs."""

    name: Final = "jobs"
    tables: Final = ("jobs", "job_attempts", "node_runs")
    migrations: Final[Sequence[Migration]] = (load("20260101_000000_create_jobs"),)
    functions: Final[Mapping[str, Callable[..., Any]]] = {}
    settling: Final[Sequence[str]] = ()

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """Insert or update the rows of the job, and of the run, that an event names."""
        event = recorded.event
        if not isinstance(event, TaggedEvent) or event.job_id is None:
            return
        if isinstance(event, AssetCreated):
            yield _created(recorded.position, event)
            return
        now = iso(moment(event))
        if isinstance(event, NodeEvent):
            yield _node(recorded.position, event, now)
            yield from run_statements(recorded)
            return
        if isinstance(event, JobStarted | JobFinished):  # it may be the first to name the job
            row = (event.user_id, event.job_id, recorded.position, recorded.position, now)
            yield Statement(_INSERT, row)
            yield _attempt(event)
        changes, parameters = _changes(event)
        sql = _CHANGED.format(changes=changes)
        job = (event.user_id, event.job_id)
        yield Statement(sql, (*parameters, recorded.position, now, *job))


def _created(position: int, event: AssetCreated) -> Statement:
    job = (event.user_id, event.job_id, event.workflow_id)
    row = (*job, 1, event.size, position, position, iso(moment(event)))
    return Statement(_CREATED, row, independent=True, merge=_of_each_job)


def _of_each_job(rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """Return the parameters of one `_CREATED` for each job, with the sums of its assets."""
    jobs: dict[tuple[str, str], Sequence[Any]] = {}
    for row in rows:
        user_id, job_id, workflow_id, assets, size, first, *last = row
        if before := jobs.get((user_id, job_id)):
            workflow_id = before[2] if before[2] is not None else workflow_id
            assets, size, first = assets + before[3], size + before[4], before[5]
        jobs[user_id, job_id] = (user_id, job_id, workflow_id, assets, size, first, *last)
    return [*jobs.values()]


def _node(position: int, event: NodeEvent, now: str) -> Statement:
    job = (event.user_id, event.job_id, event.workflow_id)
    return Statement(_NODE, (*job, position, position, now))


def _attempt(event: JobStarted | JobFinished) -> Statement:
    key, when = (event.user_id, event.job_id, event.attempt), _when(event)
    if isinstance(event, JobStarted):
        return Statement(_STARTED, (*key, when))
    return Statement(_FINISHED, (*key, event.status, private_of(event).get("error"), when))


def _when(event: JobStarted | JobFinished) -> str:
    return iso(event.made_at or moment(event))


def _changes(event: TaggedEvent) -> tuple[str, tuple[Any, ...]]:
    """Return the assignments of an UPDATE for an event, and their parameters."""
    asset_id = event.originator_id
    match event:
        case AssetDeleted():
            return f"assets = assets - 1, bytes = bytes - {_SIZE}, ", (asset_id,)
        case AssetRestored():
            return f"assets = assets + 1, bytes = bytes + {_SIZE}, ", (asset_id,)
        case AssetContentReplaced(size=size):
            return f"bytes = bytes + ? - {_SIZE}, ", (size, asset_id)
        case JobStarted():
            return _started(event)
        case JobFinished(status=status):
            error = private_of(event).get("error")
            return "status = ?, error = ?, finished_at = ?, ", (status, error, _when(event))
    return "", ()


def _started(event: JobStarted) -> tuple[str, tuple[Any, ...]]:
    parameters = private_of(event).get("parameters")
    text = None if parameters is None else CanonicalJson().encode(parameters).decode()
    changes = (
        "status = 'running', error = NULL, finished_at = NULL, attempt = ?,"
        " workflow_id = coalesce(?, workflow_id), parent_job_id = ?, parameters = ?,"
        " started_at = ?, "
    )
    tags = (event.attempt, event.workflow_id, event.parent_job_id)
    return changes, (*tags, text, _when(event))
