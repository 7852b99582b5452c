"""The last check of the bytes of an asset; an administrator stores damaged bytes again."""

import asyncio

import orjson
from aiohttp import web

from asset_ledger.api.contract.assets import check_digest
from asset_ledger.api.contract.operations import BYTES, operation
from asset_ledger.api.contract.parameters import MIN_POSITION, VERSION
from asset_ledger.api.contract.repairs import CheckOut, RepairOut
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.assets import json_of_version
from asset_ledger.api.http.body import begin, check_content, media_type_of, receive
from asset_ledger.api.http.content import digest_of_asset
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    DigestMismatchError,
    ParameterError,
    UnknownAssetError,
)
from asset_ledger.ledger.ids import parse_digest
from asset_ledger.ledger.scrub.notes import last_check, time_of
from asset_ledger.ledger.storage.data_folder import DataFolder


@operation(
    "GET",
    "/api/assets/{id}/check",
    answers=CheckOut,
    errors=[UnknownAssetError, AssetDeletedError],
    scope="read",
    parameters=[VERSION, MIN_POSITION],
)
async def get_check(request: Request) -> web.Response:
    """Return when the scrub last read the bytes of an asset, and what is wrong with them."""
    found = await request.projections.assets.find(request.user_id, request.asset_id)
    asset = orjson.loads(await json_of_version(request, found))
    digest = digest_of_asset(asset)
    notes = DataFolder(request.backend.settings.data_dir).scrub
    checked = await asyncio.to_thread(last_check, notes, digest)
    document = {
        "digest": digest,
        "size": asset["size"],
        "checked_at": time_of(checked),
        "damage": request.ledger.contents.damage_of(digest),
    }
    return json_answer(orjson.dumps(document), found.position)


@operation(
    "PUT",
    "/api/contents/{content}",
    answers=RepairOut,
    errors=[DigestMismatchError],
    scope="admin",
    takes={BYTES: {"type": "string", "format": "binary"}},
    statuses=[200],
)
async def store_again(request: Request) -> web.Response:
    """Store a content again that was found damaged: the body has its bytes."""
    try:
        digest = parse_digest(request.path_values["content"])
    except ValueError as error:
        raise ParameterError(str(error)) from error
    check_content(media_type_of(request))
    with request.slot():
        stage = request.ledger.stage()
        try:
            await begin(request)
            staged = await receive(request, stage, limit=0)
            check_digest(digest, staged.digest)
            await request.backend.scrub.repair(staged)
        finally:
            await stage.discard()
    document = {"digest": staged.digest, "size": staged.size}
    return json_answer(orjson.dumps(document), request.backend.feed.head())
