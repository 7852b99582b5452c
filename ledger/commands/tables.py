"""What commands ask the tables. The projections floor implements it."""

from collections.abc import Sequence
from typing import Protocol

from asset_ledger.ledger.ids import AssetId, Digest


class TableQueries(Protocol):
    """Questions that the log alone cannot answer quickly."""

    async def owner_of(self, user_id: str, digest: Digest) -> AssetId | None:
        """A live asset of this user that has these bytes now. Raises ProjectionBehindError."""

    async def children(self, user_id: str, parent_id: AssetId, limit: int) -> Sequence[AssetId]:
        """Live assets directly in a folder."""

    async def orphans(self, limit: int) -> Sequence[tuple[str, AssetId]]:
        """Live assets in folders that are tombstones, with their owners."""

    async def tombstones(
        self, user_id: str, parent_id: AssetId, after: int, before: int, limit: int
    ) -> Sequence[AssetId]:
        """Assets directly in a folder that were deleted between two positions."""

    async def reach(self, position: int) -> None:
        """Return once the tables reflect a position. Raises ProjectionBehindError after a second."""

    async def refusing(self, position: int) -> Sequence[str]:
        """The projections that stand before an event and cannot take it."""
