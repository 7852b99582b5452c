"""The log as a Merkle tree, in C2SP tlog-tiles: checkpoints, tiles, entries, consistency proofs.

The specification's prefix is `/api/log`. The bytes of a tile never change.
"""

import asyncio
import base64
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.backend import log_state
from asset_ledger.api.contract.ledger import LedgerOut
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import MAX_POSITION, Parameter, required, whole
from asset_ledger.api.contract.shapes import ConsistencyOut, LogKeyOut, LogKeysOut
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import SigningKeyError, UnknownTileError, VersionConflictError
from asset_ledger.ledger.merkle.tiles import read_index, read_tile

_IMMUTABLE: Final = {
    "Content-Type": "application/octet-stream",
    "Cache-Control": "private, max-age=31536000, immutable",
}


@operation(
    "GET", "/api/log/checkpoint", errors=[SigningKeyError], scope="audit", gives=["text/plain"]
)
async def get_checkpoint(request: Request) -> web.Response:
    """Return a checkpoint of the log as it is now: a signed note of its size and root hash."""
    signed = await request.proofs.checkpoint()
    return web.Response(text=signed.note, headers={"Cache-Control": "no-cache"})


@operation("GET", "/api/ledger", answers=LedgerOut, errors=[SigningKeyError], scope="audit")
async def get_ledger(request: Request) -> web.Response:
    """Return the size, root, times and bytes of the log, and the events of the last minute."""
    document = await log_state(request.backend)
    return json_answer(orjson.dumps(document), document["size"])


@operation("GET", "/api/log/key", answers=LogKeysOut, scope="audit")
async def get_keys(request: Request) -> web.Response:
    """List every key that signed checkpoints of the log. Keep the first, or the last."""
    found = await asyncio.to_thread(request.proofs.known_keys)
    keys = [{**known._asdict(), "leaf": base64.b64encode(leaf).decode()} for known, leaf in found]
    return web.Response(body=orjson.dumps({"keys": keys}), headers={"Content-Type": JSON})


@operation(
    "POST",
    "/api/log/key/rotate",
    answers=LogKeyOut,
    errors=[SigningKeyError, VersionConflictError],
    scope="admin",
)
async def rotate_key(request: Request) -> web.Response:
    """Sign checkpoints with a new key from now on. The old key signs it and is destroyed."""
    known = await request.proofs.rotate(request.principal.user_id)
    return json_answer(orjson.dumps(known._asdict()), known.since)


@operation(
    "GET",
    "/api/log/proof",
    answers=ConsistencyOut,
    scope="audit",
    parameters=[
        Parameter("first", "The size of the older tree.", whole(1, MAX_POSITION)),
        Parameter("second", "The size of the newer tree.", whole(1, MAX_POSITION)),
    ],
)
async def get_consistency(request: Request) -> web.Response:
    """Return the consistency proof between two sizes of the log (RFC 6962, 2.1.2)."""
    first, second = (required(request.parameters, name) for name in ("first", "second"))
    path = await request.proofs.consistency(first, second)
    encoded = [base64.b64encode(hashed).decode() for hashed in path]
    body = orjson.dumps({"first": first, "second": second, "path": encoded})
    return web.Response(body=body, headers={"Content-Type": JSON})


@operation("GET", "/api/log/tile/{tile...}", errors=[UnknownTileError], scope="audit")
async def get_tile(request: Request) -> web.Response:
    """Return the hashes of a tile: `<level>/<index>`, and `.p/<width>` if it is not full."""
    hashes = await request.proofs.tile(read_tile(request.path_values["tile"]))
    return web.Response(body=hashes, headers=_IMMUTABLE)


@operation("GET", "/api/log/tile/entries/{index...}", errors=[UnknownTileError], scope="admin")
async def get_entries(request: Request) -> web.Response:
    """Return the leaves under a tile of level 0, of all users, each after its length as u16."""
    entries = await request.proofs.entries(*read_index(request.path_values["index"]))
    return web.Response(body=entries, headers=_IMMUTABLE)
