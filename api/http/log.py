"""The log as a Merkle tree, served as C2SP tlog-tiles: checkpoints, tiles, entries, consistency.

The prefix of the specification is `/api/log`. What is served under a tile's name never changes.
"""

import asyncio
import base64
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import MAX_POSITION, Parameter, refuse, whole
from asset_ledger.api.contract.shapes import ConsistencyOut, LogKeyOut, LogKeysOut
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import (
    ParameterError,
    SigningKeyError,
    UnknownTileError,
    VersionConflictError,
)
from asset_ledger.ledger.merkle.tiles import read_index, read_tile

_FOR_EVER: Final = {
    "Content-Type": "application/octet-stream",
    "Cache-Control": "private, max-age=31536000, immutable",
}


@operation(
    "GET", "/api/log/checkpoint", errors=[SigningKeyError], scope="audit", gives=["text/plain"]
)
async def get_checkpoint(request: Request) -> web.Response:
    """A checkpoint of the log as it is now: a signed note of its size and root."""
    signed = await request.proofs.checkpoint()
    return web.Response(text=signed.note, headers={"Cache-Control": "no-cache"})


@operation("GET", "/api/log/key", answers=LogKeysOut, scope="audit")
async def get_keys(request: Request) -> web.Response:
    """Every key that the log's checkpoints were signed with: keep the first, or the last."""
    named = await asyncio.to_thread(request.proofs.known_keys)
    keys = [{**known._asdict(), "leaf": base64.b64encode(leaf).decode()} for known, leaf in named]
    return web.Response(body=orjson.dumps({"keys": keys}), headers={"Content-Type": JSON})


@operation(
    "POST",
    "/api/log/key/rotate",
    answers=LogKeyOut,
    errors=[SigningKeyError, VersionConflictError],
    scope="admin",
)
async def rotate_key(request: Request) -> web.Response:
    """Sign checkpoints by a new key from here on. The old one signs it, and is destroyed."""
    known = await request.proofs.rotate(request.principal.user_id)
    return json_answer(orjson.dumps(known._asdict()), known.since)


@operation(
    "GET",
    "/api/log/proof",
    answers=ConsistencyOut,
    errors=[ParameterError],
    scope="audit",
    parameters=[
        Parameter("first", "The size of the older tree.", whole(1, MAX_POSITION)),
        Parameter("second", "The size of the newer tree.", whole(1, MAX_POSITION)),
    ],
)
async def get_consistency(request: Request) -> web.Response:
    """The proof that the log of one size begins with the log of another (RFC 6962, 2.1.2)."""
    first, second = _size(request, "first"), _size(request, "second")
    path = await request.proofs.consistency(first, second)
    encoded = [base64.b64encode(hashed).decode() for hashed in path]
    body = orjson.dumps({"first": first, "second": second, "path": encoded})
    return web.Response(body=body, headers={"Content-Type": JSON})


def _size(request: Request, name: str) -> int:
    size: int | None = request.asked.get(name)
    if size is None:
        raise refuse(name, "is required")
    return size


@operation("GET", "/api/log/tile/{tile...}", errors=[UnknownTileError], scope="audit")
async def get_tile(request: Request) -> web.Response:
    """The hashes of a tile: `<level>/<index>`, and `.p/<width>` where it is not full."""
    hashes = await request.proofs.tile(read_tile(request.named["tile"]))
    return web.Response(body=hashes, headers=_FOR_EVER)


@operation("GET", "/api/log/tile/entries/{index...}", errors=[UnknownTileError], scope="admin")
async def get_entries(request: Request) -> web.Response:
    """The leaves under a tile of level 0, everybody's, each behind its length as u16."""
    entries = await request.proofs.entries(*read_index(request.named["index"]))
    return web.Response(body=entries, headers=_FOR_EVER)
