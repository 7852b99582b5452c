"""Find the asset that an argument of a command names: by its id, or by its path from home.

A path has the names of folders and of the asset, as in `project/tables/7.json`. A name may contain
a slash itself, so the longest name that exists is taken first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.ledger.ids import parse_asset_id

HOME = ("", ".", "/")
"""The names of the home folder."""


async def asset_named(gateway: Gateway, text: str, *, alone: bool = False) -> Document:
    """Return the asset with an id or at a path; the newest, if several have the path.

    Raises ClickException if there is none, or, with `alone`, if there are several.
    """
    if is_id(text):
        return await gateway.find(text)
    found = await _at_path(gateway, "", text.strip("/"))
    if not found:
        raise click.ClickException(
            f"there is no asset {text}: name its id, or its path from home, such as folder/name;"
            " asset-ledger find lists assets"
        )
    if alone and len(found) > 1:
        raise click.ClickException(
            f"several assets are named {text}: name one by its id; asset-ledger ls lists them"
        )
    return found[0]


async def folder_named(gateway: Gateway, text: str) -> str:
    """Return the id of a folder, `""` for home. Raises ClickException if it is no folder."""
    if text in HOME:
        return ""
    found = await asset_named(gateway, text)
    if not is_folder(found):
        raise click.ClickException(f"{text} is no folder")
    return str(found["id"])


async def with_folders(gateway: Gateway, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return filters with the ids of the folders that `parent_id` names by their paths."""
    folders = [await folder_named(gateway, path) for path in filters.get("parent_id", ())]
    return {**filters, "parent_id": folders}


def is_folder(document: Document) -> bool:
    """Return whether an asset is a folder."""
    return bool(document["content_type"] == "folder")


async def children(
    gateway: Gateway, folder: str, names: Sequence[str], **filters: str
) -> list[Document]:
    """Return the assets with these names in a folder, newest first."""
    query = [("parent_id", folder), *(("name", name) for name in names), *filters.items()]
    found: list[Document] = []
    cursor, more = "", True
    while more:
        page = await gateway.page(
            [*query, ("sort", "-created_at"), ("page_size", "1000"), ("cursor", cursor)]
        )
        found += page["assets"]
        cursor = page["next"]
        more = bool(cursor)
    return found


async def _at_path(gateway: Gateway, folder: str, path: str) -> Sequence[Document]:
    if not path:
        return []
    if found := await children(gateway, folder, [path]):
        return found
    first, slash, rest = path.partition("/")
    while slash:
        for each in await children(gateway, folder, [first], content_type="folder"):
            if is_folder(each) and (inner := await _at_path(gateway, each["id"], rest)):
                return inner
        more, slash, rest = rest.partition("/")
        first = f"{first}/{more}"
    return []


def is_id(text: str) -> bool:
    """Return whether a text has the form of an asset's id."""
    try:
        parse_asset_id(text)
    except ValueError:
        return False
    return True
