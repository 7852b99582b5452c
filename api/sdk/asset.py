"""`Asset`: what the ledger knows of one file, and what can be asked of it and of all of them."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, Unpack

from asset_ledger.api.sdk.connection import current_gateway
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.record import AssetRecord, Event, Filters, Usage
from asset_ledger.api.sdk.wire import query_of
from asset_ledger.ledger.domain.event import UNSET, UnsetType
from asset_ledger.ledger.errors import DigestMismatchError

GroupBy = Literal["node_id", "job_id", "workflow_id", "content_type", "day"]
UsageSort = Literal["-bytes", "-count", "-largest", "key"]


class Asset(AssetRecord):
    """One asset, as it was when it was asked for. Every method may raise UnavailableError."""

    @classmethod
    async def get(cls, asset_id: str, *, gateway: Gateway | None = None) -> Self:
        """One asset. Raises UnknownAssetError (also for another user's), AssetDeletedError."""
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
    ) -> tuple[list[Self], str]:
        """A page of the assets that match, and the cursor of the next page.

        The cursor is `""` on the last page; it belongs to these filters. `limit` is at most 1,000.
        Somebody else's `user_id` raises MissingScopeError unless the caller is an admin.
        Raises ParameterError, CursorError.
        """
        gateway = gateway or current_gateway()
        if user_id is not None:
            gateway = gateway.for_user(user_id)
        asked = {**filters, "page_size": limit, "cursor": cursor}
        page = await gateway.page(query_of(asked))
        return [cls.of(document, gateway) for document in page["assets"]], page["next"]

    @classmethod
    async def iterate(
        cls,
        *,
        user_id: str | None = None,
        gateway: Gateway | None = None,
        **filters: Unpack[Filters],
    ) -> AsyncGenerator[Self]:
        """All assets that match, page by page. Raises what `paginate` raises."""
        gateway, cursor, more = gateway or current_gateway(), "", True
        while more:
            assets, cursor = await cls.paginate(
                user_id=user_id, limit=1_000, cursor=cursor, gateway=gateway, **filters
            )
            more = bool(cursor)
            for asset in assets:
                yield asset

    @classmethod
    async def usage(
        cls,
        *,
        group_by: GroupBy = "node_id",
        workflow_id: str | Sequence[str] | None = None,
        job_id: str | Sequence[str] | None = None,
        node_id: str | Sequence[str] | None = None,
        sort: UsageSort = "-bytes",
        limit: int = 100,
        gateway: Gateway | None = None,
    ) -> list[Usage]:
        """What the live assets come to, in groups: the first `limit` of them, at most 1,000.

        Without a filter these are running totals, which follow a write within moments.
        Raises ParameterError.
        """
        asked = {"group_by": group_by, "sort": sort, "page_size": limit}
        filters = {"workflow_id": workflow_id, "job_id": job_id, "node_id": node_id}
        page = await (gateway or current_gateway()).usage(query_of({**asked, **filters}))
        return [Usage.of(document) for document in page["usage"]]

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The bytes that it had at this version, in pieces, checked against its digest.

        Raises UnknownAssetError (a folder has none), AssetDeletedError, and DigestMismatchError
        after the last piece.
        """
        hashed = hashlib.sha256()
        async for piece in self.gateway.chunks(self.id, self.version):
            hashed.update(piece)
            yield piece
        if self.digest != (arrived := f"sha256:{hashed.hexdigest()}"):
            raise DigestMismatchError(f"{self.digest} was recorded, and {arrived} arrived")

    async def content(self) -> bytes:
        """The bytes, all at once. Raises what `chunks` raises."""
        return b"".join([piece async for piece in self.chunks()])

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the bytes to a file, which has its name only once it is whole.

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

    async def history(self) -> list[Event]:
        """Every event about it, oldest first. Raises UnknownAssetError."""
        return [Event.of(document) async for document in self.gateway.asset_history(self.id)]

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
        """Change its label; the asset as it is then. What is not given stays, None clears.

        `metadata` is merged into what is there, and None inside of it removes a key (RFC 7396).
        Raises PreconditionFailedError with `if_unchanged` if it is not at this version any more,
        UnknownAssetError, AssetDeletedError, FieldError, TooLargeError.
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

    async def restore(self) -> Self:
        """Bring it back after it was deleted, and a folder with its contents; as it is then.

        Raises UnknownAssetError.
        """
        return self.of(await self.gateway.restore(self.id), self.gateway)

    async def delete(self) -> list[str]:
        """Delete it, and a folder with all that is in it; the ids of what became a tombstone.

        Raises UnknownAssetError.
        """
        return await self.gateway.delete(self.id)
