"""A job for other programs: its audit bundle, written while it is sent, and its PROV document."""

import asyncio
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import IO

import orjson
from aiohttp import web

from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import ATTEMPT
from asset_ledger.api.export.bundle import VERIFIER, content_path, manifest, recorded
from asset_ledger.api.export.prov import prov_json
from asset_ledger.api.http.answers import POSITION
from asset_ledger.api.http.archive import Pieces
from asset_ledger.api.http.content_headers import content_disposition
from asset_ledger.api.http.folders import ZIP
from asset_ledger.api.http.job_documents import document_answer
from asset_ledger.api.http.proofs import EVENTS_PER_PIECE, joined
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.domain.asset import AssetContentReplaced, AssetCreated
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.errors import (
    BusyError,
    ContentCollectedError,
    SigningKeyError,
    TooLargeError,
    UnknownJobError,
)
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.merkle.proof import END, ProvenEvent, TreeHead, document_start


@operation(
    "GET",
    "/api/jobs/{job_id}/prov",
    errors=[UnknownJobError, TooLargeError],
    scope="read",
    parameters=[ATTEMPT],
    gives=[JSON],
)
async def get_job_prov(request: Request) -> web.Response:
    """Return a job as W3C PROV-JSON: assets are entities, the job and its nodes activities."""
    return await document_answer(request, prov_json)


@operation(
    "GET",
    "/api/jobs/{job_id}/bundle",
    errors=[UnknownJobError, SigningKeyError, BusyError],
    scope="audit",
    parameters=[ATTEMPT],
    gives=[ZIP],
)
async def get_job_bundle(request: Request) -> web.StreamResponse:
    """Return the audit bundle of a job: its events, proof and files, and a verifier, as a zip."""
    request.principal.require("read")  # the zip has contents
    job_id = request.path_values["job_id"]
    signed = await request.proofs.checkpoint()
    attempt = request.parameters.get("attempt")
    prove = partial(request.proofs.job, request.user_id, job_id, signed, attempt=attempt)
    response = web.StreamResponse(headers={"Content-Type": ZIP, POSITION: str(signed.size)})
    response.headers["Content-Disposition"] = content_disposition("attachment", f"{job_id}.zip")
    async with request.zips.take():
        events = await prove(0, EVENTS_PER_PIECE)
        await response.prepare(request)
        if request.method != "HEAD":
            record = JobRecord(request.user_id, job_id, attempt)
            await StreamedBundle(request, record, prove, response.write).write(signed, events)
    await response.write_eof()
    return response


@dataclass(frozen=True, slots=True)
class _Held:
    """The size of a content, and the assets that had it at some version."""

    size: int
    by: set[AssetId] = field(default_factory=set)


class StreamedBundle:
    """One bundle. In memory are the events' assets, not their contents. `send` gets the pieces."""

    def __init__(
        self,
        request: Request,
        record: JobRecord,
        prove: Callable[[int, int], Awaitable[Sequence[ProvenEvent]]],
        send: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._request, self._send = request, send
        self._record, self._prove = record, prove
        self._contents: dict[Digest, _Held] = {}
        self._pieces = Pieces()
        self._zip = zipfile.ZipFile(self._pieces, "w", zipfile.ZIP_DEFLATED)

    async def write(self, signed: TreeHead, events: Sequence[ProvenEvent]) -> None:
        """Write the bundle of a job, of which `events` are the first. Reads the others."""
        self._zip.write(VERIFIER, "verify.py")
        await self._write_proof(signed, events)
        live = {asset.id for asset in self._record.live}
        absent = [digest for digest in self._contents if not await self._has_written(digest, live)]
        await asyncio.to_thread(self._finish, absent)
        await self._flush()

    def _finish(self, absent: Sequence[Digest]) -> None:
        """Write what describes the job and the bundle. Blocks: it is deflated."""
        record, log_id = self._record, self._request.backend.feed.log_id
        described = manifest(record.job_id, record.user_id, absent, record.attempt)
        self._zip.writestr("manifest.json", orjson.dumps(described))
        self._zip.writestr("prov.json", orjson.dumps(prov_json(record, log_id)))
        self._zip.close()

    async def _write_proof(self, signed: TreeHead, events: Sequence[ProvenEvent]) -> None:
        with self._zip.open("proof.json", "w", force_zip64=True) as entry:
            begin = document_start(signed)
            while events:
                await asyncio.to_thread(self._take, entry, begin, events)
                await self._flush()
                begin = b","
                events = await self._prove(events[-1].position, EVENTS_PER_PIECE)
            entry.write(END)

    def _take(self, entry: IO[bytes], begin: bytes, events: Sequence[ProvenEvent]) -> None:
        """Write events, and add them to the record, and their contents to those to write. Blocks:
        they are deflated."""
        entry.write(begin + joined(events))
        decoded = [recorded(event.leaf, event.position) for event in events]
        self._record.add(decoded)
        for _, event in decoded:
            if isinstance(event, AssetCreated | AssetContentReplaced) and event.digest is not None:
                held = self._contents.setdefault(event.digest, _Held(event.size))
                held.by.add(AssetId(event.originator_id))

    async def _has_written(self, digest: Digest, live: set[AssetId]) -> bool:
        """Write a content. Return False if every asset with it is deleted, as none may be read, or
        if it was collected."""
        held = self._contents[digest]
        if not held.by & live:
            return False
        try:
            content = await self._request.ledger.open_content(digest, held.size)
        except ContentCollectedError:
            return False
        try:
            with self._zip.open(content_path(digest), "w", force_zip64=True) as entry:
                async for piece in content.chunks(0, content.size):
                    await asyncio.to_thread(entry.write, piece)
                    await self._flush()
        finally:
            await content.close()
        return True

    async def _flush(self) -> None:
        if piece := self._pieces.take():
            await self._send(piece)
