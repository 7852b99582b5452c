"""Walks of folders by path."""

from collections.abc import Sequence
from typing import Any, cast

from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.keys import KeyQueries

DEPTH = 3_000
"""More folders in each other than Python nests calls."""


class Nested:
    """Readers of a table in which each folder has one more, and the innermost one an asset."""

    async def rows(self, _: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        depth, start = int(parameters[1]) + 1, parameters[2]
        segment = "x" if depth > DEPTH else "f/"
        is_folder = segment == "f/"
        found = (segment, str(depth), is_folder, False, 0, None, "2026-01-01T00:00:00.000000Z")
        return [found] if segment >= start else []


async def test_walk_finds_an_asset_at_any_depth_of_folders() -> None:
    keys = KeyQueries(cast(AsyncReaders, Nested()))

    found = [path async for path, _ in keys.walk("alice", AssetId("0"), "", "")]

    assert found == [f"{'f/' * DEPTH}x"]
