"""The projection `jobs`: one row for each job, with totals of its live assets, its start and end;
and one for each run of its nodes.

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
    INSERT INTO jobs (user_id, job_id, workflow_id, assets, bytes, first_position, last_position)
    VALUES (?, ?, ?, 1, ?, ?, ?)
    ON CONFLICT DO UPDATE SET assets = assets + 1, bytes = bytes + excluded.bytes,
        workflow_id = coalesce(workflow_id, excluded.workflow_id),
        last_position = excluded.last_position
"""
_CHANGED: Final = """
    UPDATE jobs SET {changes}last_position = ? WHERE user_id = ? AND job_id = ?
"""
_SIZE: Final = "(SELECT size FROM assets WHERE id = ?)"
_INSERT: Final = """
    INSERT INTO jobs (user_id, job_id, first_position, last_position) VALUES (?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""
_NODE: Final = """
    INSERT INTO jobs (user_id, job_id, workflow_id, first_position, last_position)
    VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET workflow_id = coalesce(workflow_id, excluded.workflow_id),
        last_position = excluded.last_position
"""


class Jobs:
    """The projection of jobs."""

    name: Final = "jobs"
    tables: Final = ("jobs", "node_runs")
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
        if isinstance(event, NodeEvent):
            positions = (recorded.position, recorded.position)
            yield Statement(_NODE, (event.user_id, event.job_id, event.workflow_id, *positions))
            yield from run_statements(recorded)
            return
        if isinstance(event, JobStarted | JobFinished):  # it may be the first to name the job
            row = (event.user_id, event.job_id, recorded.position, recorded.position)
            yield Statement(_INSERT, row)
        changes, parameters = _changes(event)
        sql = _CHANGED.format(changes=changes)
        yield Statement(sql, (*parameters, recorded.position, event.user_id, event.job_id))


def _created(position: int, event: AssetCreated) -> Statement:
    row = (event.user_id, event.job_id, event.workflow_id, event.size, position, position)
    return Statement(_CREATED, row, independent=True)


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
            return (
                "status = ?, error = ?, finished_at = ?, ",
                (status, error, iso(event.made_at or moment(event))),
            )
    return "", ()


def _started(event: JobStarted) -> tuple[str, tuple[Any, ...]]:
    parameters = private_of(event).get("parameters")
    text = None if parameters is None else CanonicalJson().encode(parameters).decode()
    changes = (
        "status = 'running', workflow_id = coalesce(?, workflow_id), parent_job_id = ?,"
        " parameters = ?, started_at = ?, "
    )
    return changes, (
        event.workflow_id,
        event.parent_job_id,
        text,
        iso(event.made_at or moment(event)),
    )
