"""The lists that `ls` and `find` print."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final, cast

from asset_ledger.api.cli.ledger import open_ledger
from asset_ledger.api.cli.naming import HOME, asset_named, folder_named, is_folder
from asset_ledger.api.cli.options import Listing, Where
from asset_ledger.api.cli.showing import Column, column, documents, show_list, size, time
from asset_ledger.api.contract.search import SEARCH_FILTERS
from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.api.sdk.wire import query_of
from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.projections.queries.asset_query import conditions

_NAME: Final = Column("name", lambda asset: asset["name"] + "/" * is_folder(asset))
_IN_A_FOLDER: Final = (column("id"), size("size"), time("created_at", "created"), _NAME)
_MATCHING: Final = (
    *(column("id"), size("size"), _NAME),
    *(column("node_id", "node"), column("job_id", "job")),
)

_SEARCHED: Final = frozenset(each.name for each in SEARCH_FILTERS)

Filters = Mapping[str, Sequence[str]]


async def list_folder(path: str, sort: str, where: Where, form: Listing) -> None:
    """Print the assets in the folder at a path, or the asset itself if it is no folder."""
    async with open_ledger(where) as gateway:
        found = _inside(gateway, path, sort, form)
        await show_list(found, "assets", _IN_A_FOLDER, form)


async def list_matching(
    words: str, filters: Filters, query: Mapping[str, Any], where: Where, form: Listing
) -> None:
    """Print the assets that match filters and words. `query` is the rest of one without words."""
    async with open_ledger(where) as gateway:
        if "parent_id" in filters:
            folders = [await folder_named(gateway, path) for path in filters["parent_id"]]
            filters = {**filters, "parent_id": folders}
        if words:
            found = _search(gateway, words, filters, form)
        else:
            found = documents(gateway.page, query_of({**filters, **query}), "assets", form)
        await show_list(found, "assets", _MATCHING, form)


async def _inside(
    gateway: Gateway, path: str, sort: str, form: Listing
) -> AsyncGenerator[Document]:
    folder = ""
    if path not in HOME:
        named = await asset_named(gateway, path)
        if not is_folder(named):
            yield named
            return
        folder = named["id"]
    query = [("parent_id", folder), ("sort", sort)]
    async for each in documents(gateway.page, query, "assets", form):
        yield each


async def _search(
    gateway: Gateway, words: str, filters: Filters, form: Listing
) -> AsyncGenerator[Document]:
    """Yield the assets that contain every word, and match every filter."""
    sent = {name: values for name, values in filters.items() if name in _SEARCHED}
    others = {name: values for name, values in filters.items() if name not in _SEARCHED}
    query = query_of({"query": words, **sent})
    async for each in documents(gateway.search, query, "assets", form):
        if _matches(each, others):
            yield each


def _matches(document: Document, filters: Filters) -> bool:
    """Return whether an asset matches filters that a search does not have."""
    user_id = document["user_id"]
    home = document["parent_id"] == user_id
    asset = SimpleNamespace(**{**document, "parent_id": None if home else document["parent_id"]})
    return all(each.holds(cast("Asset", asset)) for each in conditions(user_id, filters))
