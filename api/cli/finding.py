"""The lists that `ls` and `find` print."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

from asset_ledger.api.cli.ledger import open_ledger
from asset_ledger.api.cli.naming import HOME, asset_named, is_folder, with_folders
from asset_ledger.api.cli.options import Listing, Where
from asset_ledger.api.cli.showing import Column, column, documents, show_list, size, time
from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.api.sdk.wire import query_of

_NAME: Final = Column("name", lambda asset: asset["name"] + "/" * is_folder(asset))
_IN_A_FOLDER: Final = (column("id"), size("size"), time("created_at", "created"), _NAME)
_MATCHING: Final = (
    *(column("id"), size("size"), _NAME),
    *(column("node_id", "node"), column("job_id", "job")),
)

Filters = Mapping[str, Sequence[str]]


async def list_folder(path: str, sort: str, where: Where, listing: Listing) -> None:
    """Print the assets in the folder at a path, or the asset itself if it is no folder."""
    async with open_ledger(where) as gateway:
        found = _inside(gateway, path, sort, listing)
        await show_list(found, "assets", _IN_A_FOLDER, listing)


async def list_matching(
    filters: Filters, query: Mapping[str, Any], where: Where, listing: Listing
) -> None:
    """Print the assets that match filters. `query` is the rest of the query."""
    async with open_ledger(where) as gateway:
        given = await with_folders(gateway, {**filters, **query})
        found = documents(gateway.page, query_of(given), "assets", listing)
        await show_list(found, "assets", _MATCHING, listing)


async def _inside(
    gateway: Gateway, path: str, sort: str, listing: Listing
) -> AsyncGenerator[Document]:
    folder = ""
    if path not in HOME:
        named = await asset_named(gateway, path)
        if not is_folder(named):
            yield named
            return
        folder = named["id"]
    query = [("parent_id", folder), ("sort", sort)]
    async for each in documents(gateway.page, query, "assets", listing):
        yield each
