"""Queries of the nodes of a job: their runs, from `node_runs`, and their live assets.

`node_documents` gives the same from the events of a job.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any, Final

import orjson

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.domain.node import NodeRun
from asset_ledger.ledger.errors import UnknownJobError
from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.pages import (
    MAX_BYTES,
    Page,
    PendingBackfill,
    check_backfilled,
    seal,
    unseal_values,
)

SORTS: Final = ("created_at", "-seconds", "-failed", "-bytes", "-assets")

_JOB: Final = "user_id = ?1 AND job_id = ?2"
_RUNS: Final = f"{_JOB} AND coalesce(attempt = ?4, true)"
_ASSETS: Final = f"{_RUNS} AND deleted_at IS NULL"
_SUMMED: Final = f"""
    runs AS (SELECT * FROM node_runs WHERE {_RUNS}),
    ranked AS (
        SELECT node_id, status, error, row_number() OVER (
            PARTITION BY node_id ORDER BY last_position DESC
        ) AS nth, row_number() OVER (
            PARTITION BY node_id, status ORDER BY last_position DESC
        ) AS nth_of_status FROM runs
    ),
    last AS (SELECT node_id, status FROM ranked WHERE nth = 1),
    failure AS (
        SELECT node_id, error FROM ranked WHERE status = 'failed' AND nth_of_status = 1
    ),
    parts AS (
        SELECT node_id AS key, count(*) AS runs,
            count(*) FILTER (WHERE status = 'running') AS running,
            count(*) FILTER (WHERE status = 'failed') AS failed,
            coalesce(sum(micros), 0) AS micros, max(micros) AS longest,
            min(started_at) AS started_at, max(finished_at) AS finished_at, 0 AS assets, 0 AS bytes,
            min(first_position) AS seq
        FROM runs GROUP BY node_id
        UNION ALL
        SELECT coalesce(node_id, ''), 0, 0, 0, 0, NULL, NULL, NULL, count(*), sum(size), min(seq)
        FROM assets INDEXED BY assets_by_job_node WHERE {_ASSETS} GROUP BY 1
    ),
    nodes AS (
        SELECT key, sum(runs) AS runs, sum(running) AS running, sum(failed) AS failed,
            sum(micros) AS micros, max(longest) AS longest, max(started_at) AS started_at,
            max(finished_at) AS finished_at, sum(assets) AS assets, sum(bytes) AS bytes,
            min(seq) AS seq
        FROM parts GROUP BY key
    )
"""
_PAGE: Final = """
    WITH {summed}
    SELECT * FROM (
        SELECT json_object('node_id', nullif(key, ''), 'status', coalesce(status, 'untracked'),
            'runs', runs, 'running', running, 'failed', failed,
            'seconds', micros / CAST(1e6 AS REAL), 'longest', longest / CAST(1e6 AS REAL),
            'started_at', started_at, 'finished_at', finished_at, 'error', error,
            'assets', assets, 'bytes', bytes), {value}, key
        FROM nodes LEFT JOIN last ON last.node_id = key LEFT JOIN failure ON failure.node_id = key
        {after} ORDER BY {order} LIMIT ?3
    )
    UNION ALL SELECT NULL, (SELECT 1 FROM jobs WHERE {job}), CAST(position AS TEXT)
        FROM positions WHERE projection = 'jobs'
"""


class NodeQueries:
    """The query of the nodes of a job: one statement on a read-only connection."""

    def __init__(
        self, readers: AsyncReaders, pending_backfill: PendingBackfill = frozenset
    ) -> None:
        self._readers, self._pending_backfill = readers, pending_backfill

    async def page(
        self,
        user_id: str,
        job_id: str,
        *,
        sort: str,
        page_size: int,
        attempt: int | None = None,
        cursor: str = "",
    ) -> Page:
        """Return the nodes of a job, or of one attempt, from a cursor on.

        Raises UnknownJobError, CursorError and ProjectionBehindError.
        """
        check_backfilled(self._pending_backfill, "assets", ("job_id", "node_id", "attempt"))
        binding = orjson.dumps(["nodes", user_id, job_id, attempt, sort])
        start = unseal_values(cursor, binding, (int, float), (str,)) if cursor else ()
        values = (user_id, job_id, page_size + 1, attempt, *start)
        *rows, (_, known, position) = await self._readers.rows(_statement(sort, start), values)
        if not known:
            raise UnknownJobError(job_id)
        page, following = rows[:page_size], ""
        json = [row[0].encode() for row in page]
        sizes = accumulate(map(len, json))
        fits = max(1, sum(size <= MAX_BYTES for size in sizes))
        if len(rows) > min(page_size, fits):
            page = page[:fits]
            following = seal(orjson.dumps(page[-1][1:]), binding)
        return Page(b",".join(json[: len(page)]), len(page), following, int(position))


def _statement(sort: str, start: Sequence[Any]) -> str:
    """Return SQL of rows (JSON, sorted value, key), then (NULL, 1 if known, position)."""
    if sort == "created_at":
        value, order, beyond = "seq", "seq, key", "(seq, key) > (?5, ?6)"
    else:
        value = "micros" if sort == "-seconds" else sort.removeprefix("-")
        order, beyond = f"{value} DESC, key DESC", f"({value}, key) < (?5, ?6)"
    after = f"WHERE {beyond}" if start else ""
    return _PAGE.format(summed=_SUMMED, value=value, order=order, after=after, job=_JOB)


def run_document(run: NodeRun) -> dict[str, Any]:
    """Return the API document of a run."""
    name = run.name
    return {
        "job_id": name.job_id,
        "attempt": name.attempt,
        "node_id": name.node_id,
        "run": name.run,
        "user_id": name.user_id,
        "workflow_id": run.workflow_id,
        "status": run.status,
        "error": run.error,
        "seconds": None if run.micros is None else run.micros / 1e6,
        "started_at": iso(run.started_at) if run.started_at else None,
        "finished_at": iso(run.finished_at) if run.finished_at else None,
        "position": run.position,
    }


def node_documents(record: JobRecord) -> list[dict[str, Any]]:
    """Return the API documents of the nodes of a job, in the order of their first events."""
    nodes: dict[str | None, _Node] = {}
    for run in record.runs.values():
        nodes.setdefault(run.name.node_id, _Node()).runs.append(run)
    for asset in record.live:
        nodes.setdefault(asset.node_id, _Node()).assets.append(asset)
    ordered = sorted(nodes.items(), key=lambda named: named[1].first)
    return [{"node_id": name, **node.document()} for name, node in ordered]


@dataclass(slots=True)
class _Node:
    """The runs and the live assets of one node of a job."""

    runs: list[NodeRun] = field(default_factory=list)
    assets: list[Asset] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The position of the first event."""
        return min([*(run.first_position for run in self.runs), *(a.seq for a in self.assets)])

    def document(self) -> dict[str, Any]:
        """Return the API document without the node's id."""
        runs = sorted(self.runs, key=lambda run: run.position)
        failures = [run for run in runs if run.status == "failed"]
        durations = [run.micros for run in runs if run.micros is not None]
        return {
            "status": runs[-1].status if runs else "untracked",
            "runs": len(runs),
            "running": sum(run.status == "running" for run in runs),
            "failed": len(failures),
            "seconds": sum(durations) / 1e6,
            "longest": max(durations) / 1e6 if durations else None,
            "started_at": min(_times(run.started_at for run in runs), default=None),
            "finished_at": max(_times(run.finished_at for run in runs), default=None),
            "error": failures[-1].error if failures else None,
            "assets": len(self.assets),
            "bytes": sum(asset.size for asset in self.assets),
        }


def _times(times: Iterable[datetime | None]) -> list[str]:
    return [iso(when) for when in times if when is not None]
