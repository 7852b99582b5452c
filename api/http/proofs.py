"""Inclusion proofs of a user's events: the stored bytes, and the path to a signed root hash."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import orjson
from aiohttp import web

from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import ATTEMPT
from asset_ledger.api.contract.shapes import ProofOut
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.errors import SigningKeyError, UnknownAssetError, UnknownJobError
from asset_ledger.ledger.merkle.proof import END, ProvenEvent, document, document_start

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
    response = web.StreamResponse(headers={"Content-Type": JSON})
    await response.prepare(request)
    if request.method != "HEAD":
        await response.write(document_start(signed) + joined(events))
        while events := await prove(events[-1].position, EVENTS_PER_PIECE):
            await response.write(b"," + joined(events))
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
