"""The usage tables of a test folder, and a count of its assets in plain Python."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import iso
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.start import follow
from asset_ledger.projections.tables.usage import DIMENSIONS, Usage
from tests.projections.world import World

Totals = dict[tuple[str, str, str], tuple[int, int, int, str, str]]


@contextmanager
def usage(here: World) -> Iterator[Runner]:
    """Open the usage tables of the first generation, as a start does."""
    part = follow(here.folder, 1, Usage(), here.feed)
    try:
        yield part
    finally:
        part.close()


def key_of(asset: Asset, dimension: str) -> str:
    return iso(asset.created_at)[:10] if dimension == "day" else getattr(asset, dimension) or ""


def recounted(assets: Sequence[Asset]) -> Totals:
    """Return the expected totals, counted from the assets."""
    groups: dict[tuple[str, str, str], list[Asset]] = {}
    for asset in assets:
        for dimension in DIMENSIONS:
            key = (asset.user_id, dimension, key_of(asset, dimension))
            groups.setdefault(key, []).append(asset)
    return {key: total(group) for key, group in groups.items()}


def total(group: Sequence[Asset]) -> tuple[int, int, int, str, str]:
    sizes = [asset.size for asset in group]
    times = [iso(asset.created_at) for asset in group]
    return len(group), sum(sizes), max(sizes), min(times), max(times)
