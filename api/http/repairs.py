"""Store the bytes of a damaged content again, as an administrator."""

import orjson
from aiohttp import web

from asset_ledger.api.contract.assets import check_digest
from asset_ledger.api.contract.operations import BYTES, operation
from asset_ledger.api.contract.repairs import RepairOut
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.body import begin, check_content, media_type_of, receive
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import DigestMismatchError, ParameterError
from asset_ledger.ledger.ids import parse_digest


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
