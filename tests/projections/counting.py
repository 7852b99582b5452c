"""The usage tables of a test folder, and a count of its assets and runs in plain Python."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import Recorded, iso
from asset_ledger.ledger.domain.node import NodeRun, evolve
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import follow
from asset_ledger.projections.tables.usage import DIMENSIONS, Usage
from tests.projections.world import World

Totals = dict[tuple[str, str, str], tuple[Any, ...]]
"""By user, dimension and key: the other columns of `usage`."""


@contextmanager
def usage(here: World) -> Iterator[Runner]:
    """Open the usage tables of the first generation, as a start does."""
    part = follow(here.tables, 1, Usage(), here.feed)
    try:
        yield part
    finally:
        part.close()


def key_of(asset: Asset, dimension: str) -> str:
    return period_of(asset.created_at, dimension) or getattr(asset, dimension) or ""


def period_of(when: datetime, dimension: str) -> str | None:
    """Return the period in UTC that a time is in; None for another dimension."""
    if dimension == "quarter":
        return f"{when:%Y-%m-%dT%H}:{when.minute // 15 * 15:02}"
    return {"day": f"{when:%Y-%m-%d}", "hour": f"{when:%Y-%m-%dT%H}:00Z"}.get(dimension)


def ended_runs(events: Sequence[Recorded]) -> list[NodeRun]:
    """Return the runs of nodes that ended, from their last events alone."""
    runs = (evolve(None, event) for event in events)
    return [run for run in runs if run is not None and run.finished_at is not None]


def run_key_of(run: NodeRun, dimension: str) -> str | None:
    """Return the group of a run that ended; None for the content type, which it has not."""
    if dimension == "content_type" or run.finished_at is None:
        return None
    if period := period_of(run.finished_at, dimension):
        return period
    return (run.workflow_id if dimension == "workflow_id" else getattr(run.name, dimension)) or ""


def recounted(
    assets: Sequence[Asset], runs: Sequence[NodeRun] = (), dimensions: Sequence[str] = DIMENSIONS
) -> Totals:
    """Return the expected totals, counted from the assets and the runs that ended."""
    groups: dict[tuple[str, str, str], tuple[list[Asset], list[NodeRun]]] = {}
    for dimension in dimensions:
        for asset in assets:
            key = (asset.user_id, dimension, key_of(asset, dimension))
            groups.setdefault(key, ([], []))[0].append(asset)
        for run in runs:
            if (found := run_key_of(run, dimension)) is not None:
                key = (run.name.user_id, dimension, found)
                groups.setdefault(key, ([], []))[1].append(run)
    return {key: (*total(made), *run_total(ended)) for key, (made, ended) in groups.items()}


def total(group: Sequence[Asset]) -> tuple[int, int, int, str, str]:
    sizes = [asset.size for asset in group]
    times = [iso(asset.created_at) for asset in group]
    first, last = min(times, default="~"), max(times, default="")
    return len(group), sum(sizes), max(sizes, default=0), first, last


def run_total(runs: Sequence[NodeRun]) -> tuple[int, int, int]:
    failed = sum(run.status == "failed" for run in runs)
    return len(runs), failed, sum(run.micros or 0 for run in runs)
