"""Inclusion proofs of a user's events: the stored bytes, and the path to a signed root hash."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import ATTEMPT, MAX_POSITION, Parameter, whole
from asset_ledger.api.contract.proofs import ProofsIn, proven_ids
from asset_ledger.api.contract.shapes import ProofOut
from asset_ledger.api.http.answers import VARY, compress_stream
from asset_ledger.api.http.body import read_json_as
from asset_ledger.api.http.lines import LINES
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import SigningKeyError, UnknownAssetError, UnknownJobError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.merkle.proof import END, ProvenEvent, TreeHead, document, document_start

SIZE: Final = Parameter(
    "size", "Under the checkpoint of this size, which was signed before.", whole(1, MAX_POSITION)
)
EVENTS_PER_PIECE: Final = 200
"""Events of a job that are proven and sent at a time."""


@operation(
    "GET",
    "/api/assets/{id}/proof",
    answers=ProofOut,
    errors=[UnknownAssetError, SigningKeyError],
    scope="audit",
    parameters=[SIZE],
    gives=[JSON, LINES],
)
async def get_asset_proof(request: Request) -> web.StreamResponse:
    """Return every event of an asset, deleted or not, with its inclusion proof."""
    return await _prove(request, [request.asset_id])


@operation(
    "GET",
    "/api/jobs/{job_id}/proof",
    answers=ProofOut,
    errors=[UnknownJobError, SigningKeyError],
    scope="audit",
    parameters=[ATTEMPT, SIZE],
    gives=[JSON, LINES],
)
async def get_job_proof(request: Request) -> web.StreamResponse:
    """Return every event of a job, or of one attempt, with its inclusion proof, in pieces."""
    user_id, job_id = request.user_id, request.path_values["job_id"]
    signed = await _signed(request)
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
    parameters=[SIZE],
    takes=ProofsIn,
    gives=[JSON, LINES],
)
async def prove_assets(request: Request) -> web.StreamResponse:
    """Return every event of many assets, deleted or not, under one checkpoint, in pieces."""
    return await _prove(request, proven_ids(await read_json_as(request, JSON)))


async def _prove(request: Request, asset_ids: Sequence[AssetId]) -> web.StreamResponse:
    signed = await _signed(request)
    events = await request.proofs.assets(request.user_id, asset_ids, signed)
    return await _stream(request, signed, events)


async def _signed(request: Request) -> TreeHead:
    """Return the checkpoint of the size that was asked for, or one of the log as it is now."""
    size = request.parameters.get("size")
    return await (request.proofs.checkpoint() if size is None else request.proofs.signed(size))


async def _stream(
    request: Request, signed: TreeHead, pieces: AsyncIterator[Sequence[ProvenEvent]]
) -> web.StreamResponse:
    """Send a proof object as its events are proven, or its lines."""
    media_type, encoded = JSON, _object(signed, pieces)
    if request.accepts(LINES):
        media_type, encoded = LINES, _lines(signed, pieces)
    response = web.StreamResponse(headers={"Content-Type": media_type, VARY: "Accept"})
    compress_stream(request, response)
    await response.prepare(request)
    if request.method != "HEAD":
        async for piece in encoded:
            await response.write(piece)
    await response.write_eof()
    return response


async def _object(
    signed: TreeHead, pieces: AsyncIterator[Sequence[ProvenEvent]]
) -> AsyncIterator[bytes]:
    before = document_start(signed)
    async for events in pieces:
        if events:
            yield before + joined(events)
            before = b","
    yield END if before == b"," else before + END


async def _lines(
    signed: TreeHead, pieces: AsyncIterator[Sequence[ProvenEvent]]
) -> AsyncIterator[bytes]:
    """Yield the proof object without `events`, then each event: one a line."""
    head = document(signed, ())
    del head["events"]
    yield orjson.dumps(head) + b"\n"
    async for events in pieces:
        yield b"".join(orjson.dumps(event.document()) + b"\n" for event in events)


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
