"""The table queries that commands need. The projections floor implements them."""

from collections.abc import Sequence
from typing import Protocol

from asset_ledger.ledger.ids import AssetId, Digest


class TableQueries(Protocol):
    """Queries that the log alone cannot answer quickly."""

    async def owner_of(self, user_id: str, digest: Digest) -> AssetId | None:
        """Return a live asset of the user that has these bytes. Raises ProjectionBehindError."""

    async def named(self, user_id: str, name: str) -> AssetId | None:
        """Return the newest live asset with this name. Raises ProjectionBehindError."""

    async def children(self, user_id: str, parent_id: AssetId, limit: int) -> Sequence[AssetId]:
        """Return live assets directly in a folder."""

    async def orphans(self, limit: int) -> Sequence[tuple[str, AssetId]]:
        """Return live assets in deleted folders, as pairs of owner and asset."""

    async def folders_in(self, user_id: str, parent_id: AssetId) -> Sequence[AssetId]:
        """Return live folders directly in a folder."""

    async def tombstones(
        self, user_id: str, parent_id: AssetId, after: int, before: int, seq: int, limit: int
    ) -> Sequence[tuple[int, AssetId]]:
        """Return assets directly in a folder that were deleted between two positions.

        They are pairs of `seq` and asset, in creation order, and were created after `seq`.
        """

    async def reach(self, position: int) -> None:
        """Wait until the tables include a position. Raises ProjectionBehindError after a second."""

    async def refusing(self, position: int) -> Sequence[str]:
        """Return the projections that stopped before the event at a position."""
