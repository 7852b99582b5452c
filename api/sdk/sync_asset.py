"""The synchronous `Asset`: the names of `asset_ledger.api.sdk.asset` without `await`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, Unpack

from asset_ledger.api.sdk import asset as assets
from asset_ledger.api.sdk.asset import Direction, GroupBy, ThumbnailSize, UsageSort
from asset_ledger.api.sdk.content import Source
from asset_ledger.api.sdk.found import Lineage
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.listing import Listing
from asset_ledger.api.sdk.portal import drain, run
from asset_ledger.api.sdk.record import AssetFilters, AssetRecord, Event, Filters, Usage
from asset_ledger.ledger.domain.event import UNSET, UnsetType


class Asset(AssetRecord):
    """One asset at the version that was read."""

    @classmethod
    def get(cls, asset_id: str, *, gateway: Gateway | None = None) -> Self:
        """Return one asset. Raises UnknownAssetError (or another user's), AssetDeletedError."""
        return cls.of_async(run(assets.Asset.get(asset_id, gateway=gateway)))

    @classmethod
    def paginate(
        cls,
        *,
        user_id: str | None = None,
        limit: int = 100,
        cursor: str = "",
        gateway: Gateway | None = None,
        **filters: Unpack[Filters],
    ) -> tuple[Listing[Self], str]:
        """Return one page of the matching assets, and the cursor of the next page."""
        page, following = run(
            assets.Asset.paginate(
                user_id=user_id, limit=limit, cursor=cursor, gateway=gateway, **filters
            )
        )
        return Listing(cls, map(cls.of_async, page)), following

    @classmethod
    def iterate(
        cls,
        *,
        user_id: str | None = None,
        gateway: Gateway | None = None,
        **filters: Unpack[Filters],
    ) -> Iterator[Self]:
        """Yield all matching assets, read page by page."""
        found = assets.Asset.iterate(user_id=user_id, gateway=gateway, **filters)
        return map(cls.of_async, drain(found))

    @classmethod
    def count(cls, *, gateway: Gateway | None = None, **filters: Unpack[Filters]) -> int:
        """Return the number of assets that match every filter."""
        return run(assets.Asset.count(gateway=gateway, **filters))

    @classmethod
    def delete_matching(
        cls, expected_count: int, *, gateway: Gateway | None = None, **filters: Unpack[Filters]
    ) -> list[str]:
        """Delete the live assets that match every filter, if so many do; return all deleted ids."""
        return run(assets.Asset.delete_matching(expected_count, gateway=gateway, **filters))

    @classmethod
    def update_many(
        cls,
        ids: Sequence[str],
        *,
        add_tags: Sequence[str] = (),
        remove_tags: Sequence[str] = (),
        parent_id: str | UnsetType = UNSET,
        gateway: Gateway | None = None,
    ) -> list[str]:
        """Add and remove tags of many assets, or move them; return those that changed."""
        return run(
            assets.Asset.update_many(
                ids,
                add_tags=add_tags,
                remove_tags=remove_tags,
                parent_id=parent_id,
                gateway=gateway,
            )
        )

    @classmethod
    def restore_many(cls, ids: Sequence[str], *, gateway: Gateway | None = None) -> list[str]:
        """Restore many deleted assets, all or none; return those that were deleted."""
        return run(assets.Asset.restore_many(ids, gateway=gateway))

    @classmethod
    def usage(
        cls,
        *,
        group_by: GroupBy | tuple[GroupBy, GroupBy] = "node_id",
        tz: str | None = None,
        sort: UsageSort = "-bytes",
        limit: int = 100,
        gateway: Gateway | None = None,
        **filters: Unpack[AssetFilters],
    ) -> Listing[Usage]:
        """Return count and bytes of the live assets per group: the first `limit`, at most 1,000."""
        return run(
            assets.Asset.usage(
                group_by=group_by, tz=tz, sort=sort, limit=limit, gateway=gateway, **filters
            )
        )

    def chunks(self) -> Iterator[bytes]:
        """Yield the content of this version in pieces, and check its digest."""
        return drain(self._async_asset.chunks())

    def content(self) -> bytes:
        """Return the whole content."""
        return run(self._async_asset.content())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the content to a file; return its path. The file appears once it is complete."""
        return run(self._async_asset.save(path))

    def thumbnail(self, *, size: ThumbnailSize = 512) -> bytes:
        """Return a WebP of this image or video, of at most `size` pixels a side."""
        return run(self._async_asset.thumbnail(size=size))

    def placeholder(self) -> Mapping[str, Any]:
        """Return `width` and `height` of this image or video in pixels, and its `thumbhash`."""
        return run(self._async_asset.placeholder())

    def peaks(self, *, count: int = 200) -> Mapping[str, Any]:
        """Return the `duration` of this sound in seconds, and at most `count` (1,600) `peaks`."""
        return run(self._async_asset.peaks(count=count))

    def lineage(self, *, direction: Direction = "both", depth: int = 100) -> Lineage[Self]:
        """Return what this asset was made from (`up`), and what was made from it (`down`)."""
        found = run(self._async_asset.lineage(direction=direction, depth=depth))
        own = Listing(type(self), map(self.of_async, found.assets))
        return Lineage(root=found.root, assets=own, edges=found.edges, truncated=found.truncated)

    def history(self) -> Listing[Event]:
        """Return every event of this asset, oldest first."""
        return run(self._async_asset.history())

    def update(
        self,
        *,
        name: str | UnsetType = UNSET,
        parent_id: str | UnsetType | None = UNSET,
        content_type: str | UnsetType = UNSET,
        metadata: Mapping[str, Any] | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType | None = UNSET,
        duration: float | UnsetType | None = UNSET,
        if_unchanged: bool = False,
    ) -> Self:
        """Change the label, and return the changed asset. None clears, an absent argument stays."""
        changed = self._async_asset.update(
            name=name,
            parent_id=parent_id,
            content_type=content_type,
            metadata=metadata,
            tags=tags,
            duration=duration,
            if_unchanged=if_unchanged,
        )
        return self.of_async(run(changed))

    def replace(self, content: Source, *, if_unchanged: bool = False) -> Self:
        """Replace the content, and return the asset at its new version."""
        return self.of_async(run(self._async_asset.replace(content, if_unchanged=if_unchanged)))

    def restore(self) -> Self:
        """Restore this asset, a folder with its contents, and return it."""
        return self.of_async(run(self._async_asset.restore()))

    def delete(self) -> list[str]:
        """Delete this asset, a folder with its contents; return the ids of all deleted assets."""
        return run(self._async_asset.delete())

    @classmethod
    def of_async(cls, found: assets.Asset) -> Self:
        """Return the synchronous asset of an async one."""
        return cls(**vars(found))

    @property
    def _async_asset(self) -> assets.Asset:
        return assets.Asset(**vars(self))
