"""The timeline of a job: its live assets by node and by equal spans of time.

One covering index of the usage projection is read, and no row.
"""

import asyncio
from collections.abc import Sequence
from math import ceil
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.storage.database import AsyncReaders

MAX_BUCKETS: Final = 20_000
"""Buckets of all nodes of one timeline. The last nodes of one that has more are left out."""

_MS: Final = "CAST(round((julianday({}) - 2440587.5) * 86400000) AS INTEGER)"
"""SQL of a time as whole milliseconds since 1970."""

_OF_JOB: Final = """
    FROM usage_assets INDEXED BY usage_assets_by_job WHERE user_id = ?1 AND job_id = ?2 AND live
"""
_SPAN: Final = f"""
    SELECT {_MS.format(f"(SELECT min(created_at) {_OF_JOB})")},
        {_MS.format(f"(SELECT max(created_at) {_OF_JOB})")},
        (SELECT position FROM positions WHERE projection = 'usage')
"""
_BUCKETS: Final = f"""
    SELECT *, min(seq) OVER (PARTITION BY node_id) AS begins FROM (
        SELECT node_id, min(({_MS.format("created_at")} - ?3) / ?4, ?5 - 1) AS bucket, count(*),
            sum(size), min(seq) AS seq, min(created_at), max(created_at)
        {_OF_JOB} GROUP BY 1, 2
    ) ORDER BY begins, bucket LIMIT {{}}
"""


class Lane(NamedTuple):
    """The assets of a node. A bucket is (start in ms since 1970, count, bytes, first position)."""

    node_id: str | None
    first: str
    last: str
    assets: int
    bytes: int
    buckets: list[tuple[int, int, int, int]]


class Timeline(NamedTuple):
    """The lanes of a job, by first asset; the ms of a bucket; the position that this reflects.

    `truncated`: there are more lanes.
    """

    lanes: list[Lane]
    step: int
    position: int
    truncated: bool = False


class TimelineQueries:
    """Queries of the usage projection."""

    def __init__(self, readers: AsyncReaders) -> None:
        self._readers = readers

    async def of(self, user_id: str, job_id: str, buckets: int) -> Timeline:
        """Return the timeline of a job in at most this many spans; no lanes without live assets.

        A timeline of more than `MAX_BUCKETS` ends before the lane that goes beyond.
        """
        ((first, last, position),) = await self._readers.rows(_SPAN, (user_id, job_id))
        if first is None:
            return Timeline([], 1, position)
        step = ceil((last - first + 1) / buckets)
        parameters = (user_id, job_id, first, step, buckets)
        rows = await self._readers.rows(_BUCKETS.format(MAX_BUCKETS + 1), parameters)
        lanes = await asyncio.to_thread(_lanes, rows, first, step)
        truncated = len(rows) > MAX_BUCKETS
        return Timeline(lanes[:-1] if truncated else lanes, step, position, truncated)


def _lanes(rows: Sequence[Any], first: int, step: int) -> list[Lane]:
    """Return the lanes in the rows, which are in the order of nodes and times."""
    of_node: dict[str | None, list[Any]] = {}
    for row in rows:
        of_node.setdefault(row[0], []).append(row)
    return [_lane(node_id, found, first, step) for node_id, found in of_node.items()]


def _lane(node_id: str | None, rows: Sequence[Any], first: int, step: int) -> Lane:
    buckets = [(first + n * step, count, size, seq) for _, n, count, size, seq, *_ in rows]
    return Lane(
        node_id,
        first=min(row[5] for row in rows),
        last=max(row[6] for row in rows),
        assets=sum(row[2] for row in rows),
        bytes=sum(row[3] for row in rows),
        buckets=buckets,
    )
