"""NodeTool's jobs as starts and ends of jobs here.

A start is recorded before the job's assets, and an end after them. Promise: a job whose start or
end is in the ledger already keeps it, so an import can be repeated.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

from asset_ledger.api.contract.principal import check_user_id
from asset_ledger.api.imports.destinations import Destination, JobEvent
from asset_ledger.api.imports.nodetool_rows import (
    Converted,
    read_metadata,
    read_tag,
    text_of,
)
from asset_ledger.api.imports.nodetool_table import NodeToolJob, Table
from asset_ledger.api.imports.nodetool_times import Times
from asset_ledger.ledger.domain.checks import MAX_ERROR
from asset_ledger.ledger.errors import RefusedError

AT_ONCE: Final = 64
"""How many jobs are recorded at the same time, so that they share transactions."""

ENDS: Final = {"completed": "completed", "failed": "failed", "cancelled": "cancelled"}
NOT_STARTED: Final = "scheduled"

Verb = Literal["start", "finish"]
Note = Callable[[str, str], None]
"""Reports what of a job was not imported: its id, and a text."""


@dataclass(slots=True)
class JobCounts:
    """The rows of jobs by outcome. `started` and `finished`: recorded by this import."""

    rows: int = 0
    started: int = 0
    finished: int = 0
    refused: int = 0


class NodeToolJobs:
    """The import of one table of jobs."""

    def __init__(
        self, table: Table, times: Times, destination: Destination, counts: JobCounts, note: Note
    ) -> None:
        self._table, self._times, self._destination = table, times, destination
        self._counts, self._note = counts, note
        self._refused: set[str] = set()
        counts.rows = table.jobs

    async def start(self) -> None:
        """Record the starts that the ledger lacks."""
        await self._record("start")

    async def finish(self, held: Collection[str] = ()) -> None:
        """Record the ends that the ledger lacks, except those of the jobs `held`."""
        await self._record("finish", held)

    async def _record(self, verb: Verb, held: Collection[str] = ()) -> None:
        rows = (row for row in self._table.job_rows() if text_of(row.id) not in held)
        while batch := list(islice(rows, AT_ONCE)):
            await asyncio.gather(*(self._take(row, verb) for row in batch))

    async def _take(self, row: NodeToolJob, verb: Verb) -> None:
        name = text_of(row.id)
        try:
            user_id, job_id = check_user_id(text_of(row.user_id)), read_tag(name)
            fields = (_start if verb == "start" else _end)(row, self._times)
            if fields is None or not job_id:
                return
            event = JobEvent(user_id, job_id, verb, fields.fields)
            if not await self._destination.add_job_event(event):
                return
        except (RefusedError, ValueError) as refusal:
            self._refuse(name, str(refusal))
            return
        self._counts.started += verb == "start"
        self._counts.finished += verb == "finish"
        for note in fields.notes:
            self._note(name, note)

    def _refuse(self, name: str, reason: str) -> None:
        if name not in self._refused:
            self._refused.add(name)
            self._counts.refused += 1
            self._note(name, f"is not imported: {reason}")


def _start(row: NodeToolJob, times: Times) -> Converted | None:
    """Return the start of a job; None if it did not start."""
    if text_of(row.status) == NOT_STARTED or not row.started_at:
        return None
    found = Converted()
    found.keep("workflow_id", row.workflow_id, read_tag)
    found.keep("parameters", row.params, read_metadata)
    found.keep("made_at", row.started_at, times.read)
    return found


def _end(row: NodeToolJob, times: Times) -> Converted | None:
    """Return the end of a job; None if it did not end."""
    status = ENDS.get(text_of(row.status))
    if status is None:
        return None
    found = Converted(fields={"status": status})
    found.keep("error", row.error or row.error_message, _error)
    ended = row.finished_at or row.completed_at or row.failed_at or row.updated_at
    found.keep("made_at", ended, times.read)
    return found


def _error(value: Any) -> str:
    text = text_of(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode()[:MAX_ERROR]
