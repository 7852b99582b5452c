"""`EmbeddedGateway`: a ledger in this process, without a server and without HTTP.

Promise: while it is open, no other process can open the same data folder.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Final, Self, TypeVar

import orjson

from asset_ledger.api.backend import log_state
from asset_ledger.api.contract.asset_id import read_asset_id
from asset_ledger.api.contract.assets import check_digest, read_fields
from asset_ledger.api.contract.bulk import (
    BulkRestoreIn,
    bulk_change,
    filters_of,
    find_of,
    ids_of,
    read_bulk,
    read_bulk_update,
)
from asset_ledger.api.contract.editing import label_of, read_patch_fields
from asset_ledger.api.contract.errors import NoContentError
from asset_ledger.api.contract.event_out import event_out
from asset_ledger.api.contract.events import AFTER, EVENT_FILTERS, event_filter
from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.jobs import (
    JobFinishIn,
    JobStartIn,
    job_end,
    job_start,
)
from asset_ledger.api.contract.nodes import (
    NodeFinishIn,
    NodeStartIn,
    node_end,
    node_start,
)
from asset_ledger.api.contract.parameters import MAX_PAGE, Parameters
from asset_ledger.api.contract.placeholders import PEAKS
from asset_ledger.api.contract.principal import checked_owner
from asset_ledger.api.contract.proofs import proven_ids
from asset_ledger.api.contract.strict_json import read_object
from asset_ledger.api.contract.upload import upload_request
from asset_ledger.api.sdk.content import UploadContent
from asset_ledger.api.sdk.gateway import Document, Fields, Query
from asset_ledger.api.sdk.open_folder import OpenFolder
from asset_ledger.api.sdk.queries import TableQueries
from asset_ledger.api.sdk.retry import RETRIES, RetryPolicy, new_key
from asset_ledger.api.sdk.wire import fields_json
from asset_ledger.ledger.commands.call import CallContext
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.decisions import Label
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import RefusedError
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.merkle.proof import document as proof_object
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.service import Ledger
from asset_ledger.projections.serving import Projections
from asset_ledger.projections.tables.assets import document, document_json

T = TypeVar("T")

_FOLLOWED: Final = Parameters(AFTER, *EVENT_FILTERS)


class EmbeddedGateway:
    """A `Gateway` to a data folder that is open in this process.

    Every method raises EventLoopError while the folder is open in another event loop,
    NotConnectedError after `close`.
    """

    def __init__(self, folder: OpenFolder, user_id: str, *, retry: RetryPolicy = RETRIES) -> None:
        self._folder, self._retry = folder, retry
        self._user_id, self._caller = user_id, user_id

    async def open(self) -> None:
        """Open the data folder. Raises DataFolderError."""
        await self._folder.backend()

    async def close(self) -> None:
        """Close the data folder. Raises EventLoopError while it is open in another event loop."""
        await self._folder.close()

    async def _ledger(self) -> Ledger:
        return (await self._folder.backend()).ledger

    async def _projections(self) -> Projections:
        return (await self._folder.backend()).projections

    async def _tables(self) -> TableQueries:
        return TableQueries(await self._projections(), self._user_id)

    def __deepcopy__(self, _: object) -> Self:
        return self  # its connections cannot be copied; `dataclasses.asdict` of an asset tries to

    def for_user(self, user_id: str) -> Self:
        """Return access to another user's assets. Raises ParameterError for an invalid user id."""
        other = copy(self)  # no scope is checked: a caller that can open the folder is an admin
        other._user_id = user_id if user_id == self._caller else checked_owner(user_id)
        return other

    async def create(
        self, fields: Fields, content: UploadContent | None, *, key: str | None = None
    ) -> Document:
        """Create an asset. Raises FieldError, TooLargeError."""
        json = fields_json(fields)
        return await self._write(partial(self._create, self._call(key), json, content))

    async def position(self) -> int:
        """Return the last position of the log."""
        return (await self._folder.backend()).feed.head()

    async def find(self, asset_id: str) -> Document:
        """Return one asset. Raises UnknownAssetError, AssetDeletedError."""
        known_id, assets = read_asset_id(asset_id), (await self._projections()).assets
        return _read((await assets.find(self._user_id, known_id)).json)

    async def page(self, query: Query) -> Document:
        """Return `{"assets": [...], "next": "..."}`. Raises ParameterError, CursorError."""
        return await (await self._tables()).page(query, await self.position())

    async def lineage(self, asset_id: str, query: Query) -> Document:
        """Return the sources and derivatives of an asset. Raises UnknownAssetError."""
        return await (await self._tables()).lineage(asset_id, query)

    async def thumbnail(self, asset_id: str, version: int, size: int) -> bytes:
        """Return a WebP of an asset at a version. Raises UnknownAssetError, UndrawableError."""
        thumbnails = (await self._folder.backend()).thumbnails
        return await thumbnails.of(*await self._drawable(asset_id, version), size)

    async def placeholder(self, asset_id: str, version: int) -> Document:
        """Return the placeholder of an asset at a version. Raises UndrawableError."""
        thumbnails = (await self._folder.backend()).thumbnails
        found = await thumbnails.placeholder(*await self._drawable(asset_id, version))
        return {"id": asset_id, "version": version, **found}

    async def peaks(self, asset_id: str, version: int, count: int) -> Document:
        """Return the loudness of an asset at a version. Raises UndrawableError."""
        count = Parameters(PEAKS).read([("n", str(count))])["n"]
        thumbnails = (await self._folder.backend()).thumbnails
        return await thumbnails.loudness(*await self._drawable(asset_id, version), count)

    async def _drawable(self, asset_id: str, version: int) -> tuple[Digest, int, str]:
        asset = await self._at_version(read_asset_id(asset_id), version)
        if asset["digest"] is None:
            raise NoContentError(asset_id)
        return Digest(asset["digest"]), asset["size"], asset["content_type"]

    async def bulk_delete(self, fields: Fields) -> Document:
        """Count, or delete, the assets that match filters. Raises VersionConflictError."""
        sent: Any = read_bulk(read_object(fields_json(fields), "json"))
        filters, tables = filters_of(sent), (await self._projections()).assets
        if sent["dry_run"]:
            return {"count": await tables.count(self._user_id, filters)}
        find = partial(tables.matching, self._user_id, filters)
        delete, call = (await self._ledger()).delete, self._call()
        matching = partial(delete.matching, call, find, sent["expected_count"], sent)
        count, deletion = await self._write(matching)
        return {"count": count, "deleted_asset_ids": list(deletion.ids)}

    async def bulk_update(self, fields: Fields) -> Document:
        """Change tags or folder of many assets. Raises VersionConflictError."""
        sent: Any = read_bulk_update(read_object(fields_json(fields), "json"))
        change = bulk_change(sent, self._user_id)
        find = find_of((await self._projections()).assets, self._user_id, sent)
        if sent["dry_run"]:
            return {"count": len(await find())}
        edit, expected = (await self._ledger()).bulk_edit.assets, sent.get("expected_count")
        edited = await self._write(partial(edit, self._call(), find, expected, change, sent))
        return {"count": edited.matched, "updated_asset_ids": list(edited.edition.ids)}

    async def bulk_restore(self, ids: Sequence[str]) -> Document:
        """Restore assets, all or none. Raises UnknownAssetError, NotRestorableError."""
        sent = read_as(BulkRestoreIn, read_object(fields_json({"ids": ids}), "json"))
        restore, known_ids = (await self._ledger()).restore.assets, ids_of(sent) or ()
        restored = await self._write(partial(restore, self._call(), known_ids, sent))
        return {"restored_asset_ids": list(restored.ids)}

    async def usage(self, query: Query) -> Document:
        """Return `{"usage": [...], "next": "..."}`. Raises ParameterError, CursorError."""
        await self._retry.run(self._reach_the_head)
        return await (await self._tables()).usage(query)

    async def chunks(self, asset_id: str, version: int | None = None) -> AsyncGenerator[bytes]:
        """Yield the content of an asset. Raises UnknownAssetError, AssetDeletedError."""
        asset = await self._at_version(read_asset_id(asset_id), version)
        if asset["digest"] is None:
            raise NoContentError(asset_id)
        ledger = await self._ledger()
        content = await ledger.open_content(Digest(asset["digest"]), asset["size"])
        try:
            async for piece in content.chunks(0, asset["size"]):
                yield piece
                await self._folder.backend()  # raises if it was closed meanwhile
        finally:
            await content.close()

    async def update(self, asset_id: str, changes: Fields, if_match: int | None) -> Document:
        """Change a label: None clears. Raises PreconditionFailedError at another version."""
        call = replace(self._call(), if_match=if_match)
        json = fields_json(changes)
        return await self._write(partial(self._update, call, read_asset_id(asset_id), json))

    async def replace(
        self, asset_id: str, content: UploadContent, digest: str, if_match: int | None = None
    ) -> Document:
        """Replace the content of an asset. Raises DigestMismatchError for other bytes."""
        call, known_id = replace(self._call(), if_match=if_match), read_asset_id(asset_id)
        return await self._write(partial(self._replace, call, known_id, content, digest))

    async def restore(self, asset_id: str) -> Document:
        """Restore an asset, a folder with its contents. Raises UnknownAssetError."""
        restore, call = (await self._ledger()).restore.asset, self._call()
        receipt = await self._write(partial(restore, call, read_asset_id(asset_id)))
        return _read(document_json(receipt.asset).encode())

    async def delete(self, asset_id: str) -> list[str]:
        """Delete an asset, and return the ids of all deleted assets. Raises UnknownAssetError."""
        delete, call = (await self._ledger()).delete.asset, self._call()
        deletion = await self._write(partial(delete, call, read_asset_id(asset_id)))
        return list(deletion.ids)

    def asset_history(self, asset_id: str) -> AsyncGenerator[Document]:
        """Yield the events of an asset, live or deleted. Raises UnknownAssetError."""
        return self._history(Replay.asset_events, read_asset_id(asset_id))

    async def job(self, job_id: str) -> Document:
        """Return a job. Raises UnknownJobError."""
        jobs = (await self._projections()).jobs
        return _read((await jobs.find(self._user_id, job_id)).json)

    async def jobs(self, query: Query) -> Document:
        """Return `{"jobs": [...], "next": "..."}`. Raises ParameterError, CursorError."""
        return await (await self._tables()).jobs(query)

    async def compare(self, a: str, b: str, query: Query = ()) -> Document:
        """Return a page of the comparison of two jobs. Raises UnknownJobError, CursorError."""
        return await (await self._tables()).compare(a, b, query)

    async def start_job(self, job_id: str, fields: Fields) -> int:
        """Record the start of an attempt, and return its number. Raises JobStateError."""
        sent = read_as(JobStartIn, read_object(fields_json(fields), "json"))
        start = (await self._ledger()).jobs.start
        receipt = await self._write(partial(start, self._call(), job_id, job_start(sent), sent))
        return receipt.attempt

    async def finish_job(self, job_id: str, fields: Fields) -> None:
        """Record the end of a job. Raises JobStateError if it ended with other fields."""
        sent = read_as(JobFinishIn, read_object(fields_json(fields), "json"))
        finish = (await self._ledger()).jobs.finish
        await self._write(partial(finish, self._call(), job_id, job_end(sent), sent))

    async def start_node(self, job_id: str, fields: Fields) -> None:
        """Record the start of a node's run. Raises JobStateError if it started otherwise."""
        sent = read_as(NodeStartIn, read_object(fields_json(fields), "json"))
        start = (await self._ledger()).nodes.start
        await self._write(partial(start, self._call(), job_id, node_start(sent), sent))

    async def finish_node(self, job_id: str, fields: Fields) -> None:
        """Record the end of a node's run. Raises JobStateError if it ended with other fields."""
        sent = read_as(NodeFinishIn, read_object(fields_json(fields), "json"))
        finish = (await self._ledger()).nodes.finish
        await self._write(partial(finish, self._call(), job_id, node_end(sent), sent))

    async def nodes(self, job_id: str, query: Query) -> Document:
        """Return `{"nodes": [...], "next": "..."}` of a job. Raises UnknownJobError."""
        return await (await self._tables()).nodes(job_id, query)

    async def prove(self, asset_ids: Sequence[str], size: int | None = None) -> Document:
        """Return the proof object of every event of assets. Raises UnknownAssetError."""
        known_ids = proven_ids(read_object(fields_json({"asset_ids": asset_ids}), "json"))
        proofs = (await self._folder.backend()).proofs
        signed = await (proofs.checkpoint() if size is None else proofs.signed(size))
        pieces = await proofs.assets(self._user_id, known_ids, signed)
        return proof_object(signed, [event async for events in pieces for event in events])

    async def tree_head(self) -> Document:
        """Return the size, root and times of the log as its newest checkpoint has it."""
        return await log_state(await self._folder.backend())

    async def events(self, query: Query) -> AsyncGenerator[Document]:
        """Yield events as they are recorded, until the folder is closed."""
        given = _FOLLOWED.read(query)
        chosen = event_filter(given, self._user_id)
        position = given.get("after", await self.position())
        while True:
            backend = await self._folder.backend()
            read = backend.ledger.replay
            events, position = await read(Replay.events_after, chosen, position, MAX_PAGE)
            for event in events:
                yield _read(orjson.dumps(event_out(event)))
            await backend.feed.wait_beyond(position)

    def job_history(
        self, job_id: str, attempt: int | None = None, after: int = 0
    ) -> AsyncGenerator[Document]:
        """Yield the events of a job, or of one attempt, in log order. Raises UnknownJobError."""
        return self._history(partial(Replay.job, attempt=attempt), job_id, after)

    async def job_proof(self, job_id: str) -> Document:
        """Return the proof of every event of a job. Raises UnknownJobError."""
        proofs = (await self._folder.backend()).proofs
        signed = await proofs.checkpoint()
        prove = partial(proofs.job, self._user_id, job_id, signed)
        events, page = [], await prove(0, MAX_PAGE)
        while page:
            events += page
            page = await prove(page[-1].position, MAX_PAGE)
        return proof_object(signed, events)

    async def _history(
        self, read: Callable[..., Sequence[Recorded]], name: AssetId | str, after: int = 0
    ) -> AsyncGenerator[Document]:
        """Yield the events of a history: `read(replay, user, name, after, limit)` is its page."""
        replay = (await self._ledger()).replay
        while events := await replay(read, self._user_id, name, after, MAX_PAGE):
            for event in events:
                yield _read(orjson.dumps(event_out(event)))
            after = events[-1].position

    async def _reach_the_head(self) -> None:
        """Wait until the usage totals reflect every write. Raises ProjectionBehindError."""
        backend = await self._folder.backend()
        await backend.projections.reach(backend.feed.head(), ("usage", "tables"))

    def _call(self, key: str | None = None) -> CallContext:
        return CallContext(self._user_id, key=key or new_key(), actor=self._caller)

    async def _write(self, write: Callable[[], Awaitable[T]]) -> T:
        """Do a write with a slot of the write queue; do it again while the ledger is busy."""
        ledger = await self._ledger()

        async def attempt() -> T:
            with ledger.slots.take():
                return await write()

        return await self._retry.run(attempt)

    async def _create(
        self, call: CallContext, json: bytes, content: UploadContent | None
    ) -> Document:
        fields = read_fields(read_object(json, "json"))
        async with self._staged(content) as staged:
            sent = upload_request(fields, staged, self._user_id)
            receipt = await (await self._ledger()).create.asset(call, *sent)
        return _read(document_json(receipt.asset).encode())

    @asynccontextmanager
    async def _staged(self, content: UploadContent | None) -> AsyncIterator[Staged | None]:
        if content is None:
            yield None
            return
        stage = (await self._ledger()).stage()
        try:
            async for piece in content.chunks():
                await stage.write(piece)
            yield await stage.finish()
        finally:
            await stage.discard()

    async def _at_version(self, asset_id: AssetId, version: int | None) -> Document:
        user_id, ledger = self._user_id, await self._ledger()
        finding = (await self._projections()).assets.find(user_id, asset_id)
        found = await ledger.unless_collected(user_id, asset_id, finding)
        if version is None or version == found.version:
            return _read(found.json)
        return document(await ledger.replay(Replay.asset_at_version, user_id, asset_id, version))

    async def _replace(
        self, call: CallContext, asset_id: AssetId, content: UploadContent, digest: str
    ) -> Document:
        async with self._staged(content) as staged:
            assert staged is not None
            check_digest(Digest(digest), staged.digest)
            receipt = await (await self._ledger()).edit.asset(call, asset_id, Label(), staged, {})
        return _read(document_json(receipt.asset).encode())

    async def _update(self, call: CallContext, asset_id: AssetId, json: bytes) -> Document:
        edit = (await self._ledger()).edit
        try:
            fields = read_patch_fields(read_object(json, "json"))
            label = label_of(fields, self._user_id, patch=True)
        except RefusedError:
            await edit.current(call, asset_id)  # 404 and 410 come before 422
            raise
        receipt = await edit.asset(call, asset_id, label, None, fields)
        return _read(document_json(receipt.asset).encode())


def _read(json: bytes) -> Document:
    found: dict[str, Any] = orjson.loads(json)
    return found
