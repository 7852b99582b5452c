"""Lineage: what an asset was made from, what was made from it, what was made from some bytes."""

from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.lineage import DEPTH, DIRECTION
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.parameters import MIN_POSITION, Parameter, required
from asset_ledger.api.contract.shapes import LineageOut
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import UnknownAssetError
from asset_ledger.ledger.ids import parse_digest
from asset_ledger.projections.queries.lineage import lineage_document

DIGEST: Final = Parameter("digest", "The digest of the bytes.", parse_digest)


@operation(
    "GET",
    "/api/assets/{id}/lineage",
    answers=LineageOut,
    errors=[UnknownAssetError],
    scope="read",
    parameters=[DIRECTION, DEPTH, MIN_POSITION],
)
async def get_lineage(request: Request) -> web.Response:
    """Return the sources and derivatives of an asset, deleted ones too, and their edges."""
    asset_id, values = request.asset_id, request.parameters
    walk = await request.projections.lineage.of_asset(
        request.user_id, asset_id, values["direction"], values["depth"]
    )
    return json_answer(orjson.dumps(lineage_document(asset_id, walk)), walk.position)


@operation(
    "GET",
    "/api/lineage",
    answers=LineageOut,
    scope="read",
    parameters=[DIGEST, DEPTH, MIN_POSITION],
)
async def get_lineage_of_bytes(request: Request) -> web.Response:
    """Return everything made, directly or not, from assets while they had these bytes."""
    digest = required(request.parameters, "digest")
    walk = await request.projections.lineage.of_digest(
        request.user_id, digest, request.parameters["depth"]
    )
    return json_answer(orjson.dumps(lineage_document(digest, walk)), walk.position)
