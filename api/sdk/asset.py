"""`Asset`: read, search, change, delete and restore the assets of a ledger."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, Unpack

from asset_ledger.api.sdk.connection import current_gateway
from asset_ledger.api.sdk.content import Source, opened
from asset_ledger.api.sdk.found import Lineage
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.listing import Listing
from asset_ledger.api.sdk.record import AssetFilters, AssetRecord, Event, Filters, Usage
from asset_ledger.api.sdk.wire import query_of
from asset_ledger.ledger.domain.event import UNSET, UnsetType
from asset_ledger.ledger.errors import DigestMismatchError

GroupBy = Literal["node_id", "job_id", "workflow_id", "content_type", "day", "hour"]
UsageSort = Literal["-bytes", "-count", "-largest", "-seconds", "-failed", "key"]

ThumbnailSize = Literal[160, 320, 512, 1600]
Direction = Literal["up", "down", "both"]


class Asset(AssetRecord):
    """One asset at the version that was read. Every method may raise UnavailableError."""

    @classmethod
    async def get(cls, asset_id: str, *, gateway: Gateway | None = None) -> Self:
        """Return one asset. Raises UnknownAssetError (or another user's), AssetDeletedError."""
        gateway = gateway or current_gateway()
        return cls.of(await gateway.find(asset_id), gateway)

    @classmethod
    async def paginate(
        cls,
        *,
        user_id: str | None = None,
        limit: int = 100,
        cursor: str = "",
        gateway: Gateway | None = None,
        **filters: Unpack[Filters],
    ) -> tuple[Listing[Self], str]:
        """Return one page of the matching assets, and the cursor of the next page.

        The cursor is `""` on the last page, and valid only with the same filters. `limit` is at
        most 1,000. Raises ParameterError, CursorError; MissingScopeError for another user's
        `user_id`, unless the caller is an admin.
        """
        gateway = gateway or current_gateway()
        if user_id is not None:
            gateway = gateway.for_user(user_id)
        page = await gateway.page(query_of({**filters, "page_size": limit, "cursor": cursor}))
        found = (cls.of(document, gateway) for document in page["assets"])
        return Listing(cls, found), page["next"]

    @classmethod
    async def iterate(
        cls,
        *,
        user_id: str | None = None,
        gateway: Gateway | None = None,
        **filters: Unpack[Filters],
    ) -> AsyncGenerator[Self]:
        """Yield all matching assets, read page by page. Raises what `paginate` raises."""
        gateway, cursor, more = gateway or current_gateway(), "", True
        while more:
            assets, cursor = await cls.paginate(
                user_id=user_id, limit=1_000, cursor=cursor, gateway=gateway, **filters
            )
            more = bool(cursor)
            for asset in assets:
                yield asset

    @classmethod
    async def count(cls, *, gateway: Gateway | None = None, **filters: Unpack[Filters]) -> int:
        """Return the number of assets that match every filter. Raises ParameterError."""
        query = query_of({**filters, "page_size": 1, "count": "exact"})
        return int((await (gateway or current_gateway()).page(query))["count"])

    @classmethod
    async def delete_matching(
        cls, expected_count: int, *, gateway: Gateway | None = None, **filters: Unpack[Filters]
    ) -> list[str]:
        """Delete the live assets that match every filter, and return the ids of all deleted ones.

        Raises VersionConflictError, and deletes nothing, if another number than `expected_count`
        matches; FieldError without a filter.
        """
        fields = {"filter": _sent(filters), "expected_count": expected_count}
        answer = await (gateway or current_gateway()).bulk_delete(fields)
        return list(answer["deleted_asset_ids"])

    @classmethod
    async def update_many(
        cls,
        ids: Sequence[str],
        *,
        add_tags: Sequence[str] = (),
        remove_tags: Sequence[str] = (),
        parent_id: str | UnsetType = UNSET,
        gateway: Gateway | None = None,
    ) -> list[str]:
        """Add and remove tags of at most 10,000 assets, or move them; return those that changed.

        `parent_id` is a folder, or the user's id: home. Everything is checked before the first
        change. Raises UnknownAssetError, AssetDeletedError, FieldError.
        """
        move = {} if parent_id is UNSET else {"parent_id": parent_id}
        fields = {"ids": [*ids], "add_tags": [*add_tags], "remove_tags": [*remove_tags], **move}
        answer = await (gateway or current_gateway()).bulk_update(fields)
        return list(answer["updated_asset_ids"])

    @classmethod
    async def restore_many(cls, ids: Sequence[str], *, gateway: Gateway | None = None) -> list[str]:
        """Restore at most 256 deleted assets, all or none; return those that were deleted.

        Folders come back with their contents. Raises UnknownAssetError, NotRestorableError.
        """
        answer = await (gateway or current_gateway()).bulk_restore([*ids])
        return list(answer["restored_asset_ids"])

    @classmethod
    async def usage(
        cls,
        *,
        group_by: GroupBy | tuple[GroupBy, GroupBy] = "node_id",
        tz: str | None = None,
        sort: UsageSort = "-bytes",
        limit: int = 100,
        gateway: Gateway | None = None,
        **filters: Unpack[AssetFilters],
    ) -> Listing[Usage]:
        """Return count and bytes of the live assets per group: the first `limit` groups.

        With two groupings there is a group for each pair. `tz` is the zone of days and hours, by
        default UTC. `limit` is at most 1,000. The totals include every earlier write of this
        connection. Raises ParameterError; ProjectionBehindError if the totals lag too far.
        """
        groups = group_by if isinstance(group_by, str) else ",".join(group_by)
        options = {"group_by": groups, "tz": tz, "sort": sort, "page_size": limit}
        query = query_of({**options, **filters})
        page = await (gateway or current_gateway()).usage(query)
        return Listing(Usage, map(Usage.of, page["usage"]))

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the content of this version in pieces, and check its digest.

        Raises UnknownAssetError (also for a folder), AssetDeletedError; DigestMismatchError after
        the last piece.
        """
        hashed = hashlib.sha256()
        async for piece in self.gateway.chunks(self.id, self.version):
            hashed.update(piece)
            yield piece
        if self.digest != (received := f"sha256:{hashed.hexdigest()}"):
            raise DigestMismatchError(
                f"{self.digest} was recorded, but {received} was received: download it again;"
                " if it fails again, run `asset-ledger verify`"
            )

    async def content(self) -> bytes:
        """Return the whole content. Raises what `chunks` raises."""
        return b"".join([piece async for piece in self.chunks()])

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the content to a file, and return its path. The file appears once it is complete.

        Raises what `chunks` raises, and OSError.
        """
        target = Path(path)
        partial = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with partial.open("xb") as file:
                async for piece in self.chunks():
                    await asyncio.to_thread(file.write, piece)
            partial.rename(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    async def thumbnail(self, *, size: ThumbnailSize = 512) -> bytes:
        """Return a WebP of this image or video, of at most `size` pixels a side.

        Raises RefusedError for a content that cannot be drawn.
        """
        return await self.gateway.thumbnail(self.id, self.version, size)

    async def placeholder(self) -> Mapping[str, Any]:
        """Return `width` and `height` of this image or video in pixels, and its `thumbhash`.

        Raises RefusedError for a content that cannot be drawn.
        """
        return await self.gateway.placeholder(self.id, self.version)

    async def peaks(self, *, count: int = 200) -> Mapping[str, Any]:
        """Return the `duration` of this sound in seconds, and at most `count` (1,600) `peaks`.

        A peak, from 0 to 1, is the loudest sample of a part. Raises RefusedError for a content
        that cannot be measured.
        """
        return await self.gateway.peaks(self.id, self.version, count)

    async def lineage(self, *, direction: Direction = "both", depth: int = 100) -> Lineage[Self]:
        """Return what this asset was made from (`up`), and what was made from it (`down`).

        `depth` is the most edges to follow, at most 100. Raises UnknownAssetError.
        """
        query = query_of({"direction": direction, "depth": depth})
        document = await self.gateway.lineage(self.id, query)
        return Lineage.of(document, partial(type(self).of, gateway=self.gateway))

    async def history(self) -> Listing[Event]:
        """Return every event of this asset, oldest first. Raises UnknownAssetError."""
        found = [Event.of(document) async for document in self.gateway.asset_history(self.id)]
        return Listing(Event, found)

    async def update(
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
        """Change the label, and return the changed asset. An absent argument changes nothing.

        None clears a field. `metadata` is merged; None in it removes a key (RFC 7396). `duration`
        is in seconds. With `if_unchanged`, raises PreconditionFailedError if the ledger has a newer
        version. Raises UnknownAssetError, AssetDeletedError, FieldError, TooLargeError.
        """
        label = {
            "name": name,
            "parent_id": parent_id,
            "content_type": content_type,
            "metadata": metadata,
            "tags": tags,
            "duration": duration,
        }
        changes = {field: value for field, value in label.items() if value is not UNSET}
        version = self.version if if_unchanged else None
        return self.of(await self.gateway.update(self.id, changes, version), self.gateway)

    async def replace(self, content: Source, *, if_unchanged: bool = False) -> Self:
        """Replace the content, and return the asset at its new version.

        `content` is bytes, a path, a binary file or an async iterator of bytes. With
        `if_unchanged`, raises PreconditionFailedError if the ledger has a newer version. Raises
        UnknownAssetError, AssetDeletedError, FieldError for a folder, TooLargeError; OSError and
        TypeError for a content that cannot be read.
        """
        version = self.version if if_unchanged else None
        async with opened(content) as opened_content:
            digest = await opened_content.digest()
            changed = await self.gateway.replace(self.id, opened_content, digest, version)
        return self.of(changed, self.gateway)

    async def restore(self) -> Self:
        """Restore this asset, a folder with its contents; return it. Raises UnknownAssetError."""
        return self.of(await self.gateway.restore(self.id), self.gateway)

    async def delete(self) -> list[str]:
        """Delete this asset or folder; return all deleted ids. Raises UnknownAssetError."""
        return await self.gateway.delete(self.id)


def _sent(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters that are given."""
    return {name: value for name, value in filters.items() if value is not None}
