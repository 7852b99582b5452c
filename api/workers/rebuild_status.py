"""What is said of the tables: which serve, which are being made, which could come back."""

import asyncio
from pathlib import Path
from typing import Any

from asset_ledger.api.workers.rebuilds import FinishedRebuild, Rebuilds, RunningRebuild
from asset_ledger.projections.runtime.previous_generation import find_previous
from asset_ledger.projections.serving import Projections


async def status(
    folder: Path, projections: Projections, rebuilds: Rebuilds, begun: RunningRebuild | None = None
) -> dict[str, Any]:
    """The document of `GET /api/projections`. What was `begun` just now may have ended already, and
    is told of all the same: whoever began it has to learn its name."""
    generation, building = projections.generation, begun or rebuilds.building
    rows = await asyncio.to_thread(generation.count_rows)
    kept = await asyncio.to_thread(find_previous, folder, generation.number)
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
        "building": _building(building),
        "previous": None if kept is None else kept._asdict(),
        "last": _ended(rebuilds.last),
    }


def _building(building: RunningRebuild | None) -> dict[str, Any] | None:
    if building is None:
        return None
    return {
        "generation": building.generation,
        "position": building.position,
        "target": building.target,
        "state": building.state,
        "dry_run": building.dry_run,
        "rollback": building.rollback,
        "started_at": building.started_at,
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
