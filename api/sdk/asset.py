"""`Asset`: what the ledger knows of one file, and what can be asked of it and of all of them."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Self, Unpack

from api.sdk.connection import current_gateway
from api.sdk.gateway import Gateway
from api.sdk.record import AssetRecord, Fact, Filters
from api.sdk.wire import query_of


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
        """A page of the live assets that match, oldest first, and the cursor of the next page.

        The cursor is `""` on the last page; it belongs to these filters. `limit` is at most 1,000.
        Raises ForbiddenError for somebody else's `user_id`, ParameterError, CursorError.
        """
        gateway = gateway or current_gateway()
        if user_id is not None:
            await gateway.admit(user_id)
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
        """All live assets that match, page by page. Raises what `paginate` raises."""
        gateway, cursor, more = gateway or current_gateway(), "", True
        while more:
            assets, cursor = await cls.paginate(
                user_id=user_id, limit=1_000, cursor=cursor, gateway=gateway, **filters
            )
            more = bool(cursor)
            for asset in assets:
                yield asset

    def chunks(self) -> AsyncGenerator[bytes]:
        """The bytes, in pieces. Raises UnknownAssetError (a folder has none), AssetDeletedError."""
        return self.gateway.chunks(self.id)

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

    async def history(self) -> list[Fact]:
        """Every fact about it, oldest first. Raises UnknownAssetError."""
        return [Fact.of(document) async for document in self.gateway.asset_history(self.id)]

    async def delete(self) -> list[str]:
        """Delete it, and a folder with all that is in it; the ids of what became a tombstone.

        Raises UnknownAssetError.
        """
        return await self.gateway.delete(self.id)
