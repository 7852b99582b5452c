"""Inclusion proofs of a user's events: the stored bytes, and the path to a signed root hash."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import ATTEMPT
from asset_ledger.api.contract.proofs import ProofsIn, proven_ids
from asset_ledger.api.contract.shapes import ProofOut
from asset_ledger.api.http.answers import compress_stream
from asset_ledger.api.http.body import read_json_as
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.commands.delete import assets_of
from asset_ledger.ledger.errors import SigningKeyError, UnknownAssetError, UnknownJobError
from asset_ledger.ledger.merkle.proof import END, ProvenEvent, TreeHead, document, document_start

EVENTS_PER_PIECE: Final = 200
"""Events of a job that are proven and sent at a time."""


@operation(
    "GET",
    "/api/assets/{id}/proof",
    answers=ProofOut,
    errors=[UnknownAssetError, SigningKeyError],
    scope="audit",
)
async def get_asset_proof(request: Request) -> web.Response:
    """Return every event of an asset, deleted or not, with its inclusion proof."""
    proof = await request.proofs.asset(request.user_id, request.asset_id)
    return web.Response(body=orjson.dumps(document(*proof)), headers={"Content-Type": JSON})


@operation(
    "GET",
    "/api/jobs/{job_id}/proof",
    answers=ProofOut,
    errors=[UnknownJobError, SigningKeyError],
    scope="audit",
    parameters=[ATTEMPT],
)
async def get_job_proof(request: Request) -> web.StreamResponse:
    """Return every event of a job, or of one attempt, with its inclusion proof, in pieces."""
    user_id, job_id = request.user_id, request.path_values["job_id"]
    signed = await request.proofs.checkpoint()
    attempt = request.parameters.get("attempt")
    prove = partial(request.proofs.job, user_id, job_id, signed, attempt=attempt)
    events = await prove(0, EVENTS_PER_PIECE)

    async def pieces() -> AsyncIterator[Sequence[ProvenEvent]]:
        piece = events
        while piece:
            yield piece
            piece = await prove(piece[-1].position, EVENTS_PER_PIECE)

    return await _stream(request, signed, pieces())


@operation(
    "POST",
    "/api/log/proofs",
    answers=ProofOut,
    errors=[UnknownAssetError, SigningKeyError],
    scope="audit",
    takes=ProofsIn,
)
async def prove_assets(request: Request) -> web.StreamResponse:
    """Return every event of many assets, deleted or not, under one checkpoint, in pieces."""
    asset_ids = proven_ids(await read_json_as(request, JSON))
    await request.ledger.replay(assets_of, request.user_id, asset_ids)
    signed = await request.proofs.checkpoint()

    async def pieces() -> AsyncIterator[Sequence[ProvenEvent]]:
        for asset_id in asset_ids:
            yield await request.proofs.events_of(asset_id, signed)

    return await _stream(request, signed, pieces())


async def _stream(
    request: Request, signed: TreeHead, pieces: AsyncIterator[Sequence[ProvenEvent]]
) -> web.StreamResponse:
    """Send a proof object as its events are proven."""
    response = web.StreamResponse(headers={"Content-Type": JSON})
    compress_stream(request, response)
    await response.prepare(request)
    if request.method != "HEAD":
        before = document_start(signed)
        async for events in pieces:
            await response.write(before + joined(events))
            before = b","
        await response.write(END)
    await response.write_eof()
    return response


def joined(events: Sequence[ProvenEvent]) -> bytes:
    """Return the documents of events, with commas between them."""
    return b",".join(orjson.dumps(event.document()) for event in events)


async def with_receipt(
    request: Request, asset: bytes, position: int
) -> tuple[bytes, Mapping[str, str]]:
    """Return an asset's JSON with the inclusion proof of its event, and the header that says so.

    Return the JSON alone if the checkpoint cannot be signed: the asset is recorded already.
    """
    proof = await request.proofs.receipt(position)
    if proof is None:
        return asset, {}
    receipt = orjson.dumps(document(*proof))
    return b'%b,"receipt":%b}' % (asset[:-1], receipt), {"Preference-Applied": "return=receipt"}
