"""The status of the tables: the generation in use, the running rebuild, the previous one."""

import asyncio
from dataclasses import asdict
from typing import Any

from asset_ledger.api.workers.rebuilds import FinishedRebuild, Rebuilds, RunningRebuild
from asset_ledger.projections.serving import Projections


async def status(
    projections: Projections, rebuilds: Rebuilds, new: RunningRebuild | None = None
) -> dict[str, Any]:
    """Return the document of `GET /api/projections`. `new`: the rebuild that this request started,
    which is shown even if it has ended already."""
    generation, building = projections.generation, new or rebuilds.building
    rows = await asyncio.to_thread(generation.count_rows)
    previous = await asyncio.to_thread(projections.previous)
    return {
        "serving": {
            "generation": generation.number,
            "revision": generation.revision,
            "position": projections.position,
            "lag": projections.tables.lag,
            "state": projections.tables.state,
            "error": None if projections.tables.error is None else str(projections.tables.error),
            "rows": rows,
            "digest": rebuilds.digests.get(generation.number),
        },
        "building": None if building is None else asdict(building),
        "previous": None if previous is None else previous._asdict(),
        "last": _ended(rebuilds.last),
    }


def _ended(ended: FinishedRebuild | None) -> dict[str, Any] | None:
    if ended is None:
        return None
    compared = ended.built.get("comparison")
    return {
        "generation": ended.building.generation,
        "result": ended.result,
        "error": ended.error,
        "position": ended.built.get("position"),
        "digest": ended.built.get("digest"),
        "others": ended.built.get("others", {}),
        "broken": ended.built.get("broken", {}),
        "differences": None if compared is None else compared["differences"],
        "rollback": ended.building.rollback,
        "started_at": ended.building.started_at,
        "ended_at": ended.ended_at,
    }
