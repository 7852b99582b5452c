"""List everything in a folder and the folders around an asset, and pack assets into one zip.

Trees and zips are made while they are sent.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.download import DOWNLOADS, MAX_IDS, MAX_LIST, download_ids
from asset_ledger.api.contract.operations import JSON, URLENCODED, operation
from asset_ledger.api.contract.parameters import MIN_POSITION
from asset_ledger.api.contract.placeholders import FoldersOut
from asset_ledger.api.contract.shapes import AssetTree
from asset_ledger.api.http.answers import POSITION, json_answer
from asset_ledger.api.http.archive import Archive
from asset_ledger.api.http.body import media_type_of, read_json_as, read_whole
from asset_ledger.api.http.content_headers import content_disposition
from asset_ledger.api.http.form import lists_of_form
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    BusyError,
    ContentDamagedError,
    ProjectionBehindError,
    UnknownAssetError,
)
from asset_ledger.ledger.ids import AssetId

ZIP: Final = "application/zip"


@operation(
    "GET",
    "/api/assets/{folder_id}/recursive",
    answers=AssetTree,
    errors=[UnknownAssetError, AssetDeletedError],
    scope="read",
    parameters=[MIN_POSITION],
)
async def list_tree(request: Request) -> web.StreamResponse:
    """List everything in a folder, at any depth; the user's id names the home folder."""
    folder = await _folder(request)
    headers = {"Content-Type": JSON, POSITION: str(request.projections.position)}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if request.method != "HEAD":
        separator = b'{"assets":['
        async for _, page in request.projections.folders.below(request.user_id, folder):
            if page:
                await response.write(separator + b",\n".join(member.json for member in page))
                separator = b",\n"
        await response.write(b"]}" if separator == b",\n" else separator + b"]}")
    await response.write_eof()
    return response


@operation(
    "GET",
    "/api/assets/{id}/folders",
    answers=FoldersOut,
    errors=[UnknownAssetError, AssetDeletedError],
    scope="read",
    parameters=[MIN_POSITION],
)
async def list_folders(request: Request) -> web.Response:
    """List the folders that contain an asset, from the outermost on; none at home."""
    found = await request.projections.assets.find(request.user_id, request.asset_id)
    above = await request.projections.folders.above(request.user_id, request.asset_id)
    folders = [{"id": folder_id, "name": name} for folder_id, name in above]
    return json_answer(orjson.dumps({"folder_path": folders}), found.position)


async def _folder(request: Request) -> AssetId | None:
    """Return the folder in the path; None is home. Raises UnknownAssetError, AssetDeletedError."""
    if request.path_values["folder_id"] == request.user_id:
        return None
    folder = request.asset_id_in_path("folder_id")
    await request.projections.assets.find(request.user_id, folder)
    return folder


@operation(
    "POST",
    "/api/assets/download",
    errors=[
        UnknownAssetError,
        AssetDeletedError,
        ProjectionBehindError,
        ContentDamagedError,
        BusyError,
    ],
    scope="read",
    takes=DOWNLOADS,
    max_json=MAX_LIST,
    gives=[ZIP],
)
async def download_assets(request: Request) -> web.StreamResponse:
    """Return assets as one zip, folders with their contents, under names safe to unpack."""
    asset_ids = download_ids(await _sent_ids(request))
    folders, user_id = request.projections.folders, request.user_id
    async for _ in folders.chosen(user_id, asset_ids):
        pass  # raise every refusal before the head is sent
    headers = {"Content-Type": ZIP, POSITION: str(request.projections.position)}
    headers["Content-Disposition"] = content_disposition("attachment", "assets.zip")
    response = web.StreamResponse(headers=headers)

    async def send(piece: bytes) -> None:
        await response.prepare(request)  # late: a damaged first content is a problem, not a zip
        await response.write(piece)

    async with request.zips.take():
        archive = Archive(request.ledger, folders, user_id, send)
        async for page in folders.chosen(user_id, asset_ids):
            for member in page:
                await archive.add(member)
        await archive.finish()
    await response.write_eof()
    return response


async def _sent_ids(request: Request) -> Mapping[str, Any]:
    """Return the JSON in the body, or the lists of a form, which a page sends to save the zip."""
    if media_type_of(request) == URLENCODED:
        return lists_of_form(await read_whole(request, request.max_json), MAX_IDS)
    return await read_json_as(request, JSON, URLENCODED)
